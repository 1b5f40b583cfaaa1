"""Carries a plan out: the only place that changes redis."""

from dictator.execute.executor import Executor

__all__ = ["Executor"]
