"""All tasks, with their shares of the samples."""

from tasks_dialogue import instructed, memory
from tasks_functions import functions, schema
from tasks_numbers import arithmetic, ordering
from tasks_text import calendar, facts, strings, talk, unknown

TASKS = [
    (arithmetic, 30),
    (ordering, 20),
    (strings, 22),
    (calendar, 8),
    (facts, 7),
    (talk, 5),
    (unknown, 3),
    (instructed, 8),
    (memory, 8),
    (functions, 18),
    (schema, 7),
]
