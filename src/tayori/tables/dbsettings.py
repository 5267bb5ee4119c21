"""The settings that each type of database table has, by name.

ldap_table(5), mysql_table(5), pgsql_table(5), sqlite_table(5), memcache_table(5), mongodb_table(5).
"""

from __future__ import annotations

_COMMON = "domain result_format expansion_limit"
_SQL = f"{_COMMON} query select_field table where_field additional_conditions"
_CACHE = "memcache backup flags ttl key_format data_size_limit line_size_limit max_try retry_pause timeout"
_SERVED = f"{_SQL} hosts user password dbname idle_interval retry_interval"
DATABASES: dict[str, frozenset[str]] = {
    "ldap": frozenset(
        f"""{_COMMON} server_host server_port timeout search_base query_filter result_filter result_attribute
        special_result_attribute leaf_result_attribute terminal_result_attribute scope bind bind_dn bind_pw cache
        cache_expiry cache_size recursion_limit size_limit dereference chase_referrals debuglevel version sasl_mechs
        sasl_realm sasl_authz_id sasl_minssf start_tls tls_ca_cert_dir tls_ca_cert_file tls_cert tls_key
        tls_require_cert tls_random_file tls_cipher_suite""".split()
    ),
    "mysql": frozenset(
        f"""{_SERVED} option_file option_group require_result_set charset tls_cert_file tls_key_file tls_CAfile
        tls_CApath tls_ciphers tls_verify_cert""".split()
    ),
    "pgsql": frozenset(f"{_SERVED} select_function encoding".split()),
    "sqlite": frozenset(f"{_SQL} dbpath".split()),
    "memcache": frozenset(f"domain {_CACHE} key_digest".split()),
    "mongodb": frozenset(f"{_COMMON} uri dbname collection query_filter projection result_attribute".split()),
}
