"""This package holds what labels are: what may be answered, what people are asked, and the queue.

A `LabelSchema` says what an answer may be, a `LabelTask` what raters see and how many answer an
item. `LabelQueue` keeps batches of items, leases and votes in the shared database. Operators ask
for labels and collect votes, the page shows items to raters; both do so through the queue.
"""
