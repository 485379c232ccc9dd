"""All tasks, with their shares of the samples."""

from tasks_dialogue import instructed, memory
from tasks_functions import functions, schema
from tasks_numbers import arithmetic, ordering
from tasks_text import calendar, facts, strings, talk, unknown

TASKS = [
    (arithmetic, 24),
    (ordering, 22),
    (strings, 22),
    (calendar, 10),
    (facts, 9),
    (talk, 8),
    (unknown, 13),
    (instructed, 13),
    (memory, 10),
    (functions, 34),
    (schema, 8),
]
