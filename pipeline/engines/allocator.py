# Environment variables for a process that runs a model on a CPU; glibc reads them at its start. By
# default glibc returns the memory of every large tensor to the system and requests it again for the
# next layer. The page faults that follow take a fifth of the time of a standard R50-FPN. These
# settings use one arena, since other arenas cannot hold large blocks; map no single blocks; and
# never return memory.
KEEP_FREED_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
}
