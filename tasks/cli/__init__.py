"""Every seam with doit: entry, task names, reporter."""
