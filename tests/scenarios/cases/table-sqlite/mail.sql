CREATE TABLE alias (local TEXT, domain TEXT, target TEXT);
INSERT INTO alias VALUES ('both', 'va.example', 'alice'), ('both', 'va.example', 'bob'), ('o''neill', 'va.example', 'carol');
CREATE TABLE access (address TEXT, action TEXT);
INSERT INTO access VALUES ('dave@example.com', 'REJECT found'), ('x''y@example.com', '450 4.7.1 quoted');
