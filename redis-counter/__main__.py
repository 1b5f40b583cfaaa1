"""Starts redis-counter: `python redis-counter`. The program itself is the package redis_counter."""

import sys

from redis_counter.__main__ import main

sys.exit(main())
