"""From the queue to the delivery agents and back: what happens to a message after its 250.

`dispatcher.Dispatcher` is the way in; one file per kind of route beside it.
"""
