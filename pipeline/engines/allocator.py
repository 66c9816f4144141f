# The environment of a process that runs a model on a CPU; glibc reads it when the process starts.
# By default it hands every large tensor's memory back to the system and asks for it anew at the
# next layer, which then finds each page missing: a fifth of the time of a standard R50-FPN. One
# arena, since the others cannot hold large blocks; no mapping of single blocks; nothing trimmed.
KEEP_FREED_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
}
