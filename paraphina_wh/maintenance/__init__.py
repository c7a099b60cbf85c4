"""Keeping a warehouse in order: check it, repair it, fold small files, sweep what nothing answers for."""
