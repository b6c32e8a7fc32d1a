/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hosted sparse extent, inside.
 *
 *   grain_table.c    pages of grain tables: load, compare, look up
 *   grain_check.c    what to believe when the two copies differ
 *   grain_alloc.c    new grains and tables, freed grains
 *   grain_flush.c    the order in which changes reach the file
 *   extent_sparse.c  reads and writes over these
 *
 * Tables are held in pages of up to 8,192 entries, at most PAGES_MAX of them,
 * whatever the disk's size; only the grain directories are held whole (8 MiB
 * each for 62 TB). One mutex guards pages, directories and the allocator. It
 * is dropped while a page is loaded, and it is never held while guest data
 * moves: the disk layer promises that no two writes touch one grain at once,
 * so that a grain looked up stays where it is until the request is done.
 */
#ifndef FORMAT_VMDK_SPARSE_H
#define FORMAT_VMDK_SPARSE_H

#include <pthread.h>

#include "format/vmdk/vmdk.h"

#define PAGE_ENTRIES    8192u
#define PAGE_TABLES     16u
#define PAGES_MAX       512u
#define DIRTY_PAGES_MAX 128u

#define GTE_ABSENT 0u
#define GTE_ZERO   1u

/* One page: the entries of up to PAGE_TABLES consecutive grain tables, in
 * host order. Dirty entries are those in [dirty_first, dirty_end). */
struct grain_page {
  uint32_t *entries;
  uint8_t *bad; /* a bit per entry that cannot be believed; often NULL */
  uint64_t number;
  uint32_t dirty_first, dirty_end;
  bool used, loading, writing, referenced;
};

/* Consecutive grains of one state; DATA: consecutive in the file as well. */
struct grain_run {
  uint64_t count;
  uint64_t sector; /* DATA */
  int state;       /* enum vdk_extent_state */
  bool fresh;      /* reserved by this write, not yet in the table */
};

struct free_run {
  uint64_t sector, count; /* COUNT grains */
};

struct free_list {
  struct free_run *runs;
  size_t count, capacity;
};

struct sparse {
  struct vmdk_extent extent;
  struct vmdk_header header;
  const struct vdk_log *log;
  const char *name; /* for messages */
  bool writable, salvage, has_parent;
  bool was_unclean;    /* as the file was found */
  bool directory_lost; /* one of the directories cannot be read */
  bool keep_unclean;   /* tables that differ were found */
  bool warned_redundant, warned_zero;

  uint64_t grain_bytes;
  uint64_t grain_count;
  uint64_t data_start; /* sectors: no grain lies before it */
  uint32_t table_sectors;

  pthread_mutex_t mutex;
  pthread_cond_t loaded;

  /* Directories, host order. RGD is NULL when there is no second one. */
  uint32_t *gd, *rgd;
  uint64_t gd_dirty_first, gd_dirty_end;

  uint32_t page_tables, page_entries;
  uint64_t page_count;
  int32_t *slot_of; /* page number to slot, -1 when not held */
  struct grain_page *pages;
  unsigned page_slots, clock_hand, dirty_pages;

  /* The allocator, in sectors. */
  uint64_t file_end;            /* the file is at least so long; atomic */
  uint64_t next_free;           /* grains from here on were never used */
  uint64_t meta_next, meta_end; /* room for new grain tables */
  struct free_list free, pending, flushing;

  pthread_mutex_t flush_mutex; /* one flush or first write at a time */
  bool began;                  /* a write has marked the file */
};

static inline uint64_t
sparse_page_of(const struct sparse *s, uint64_t grain)
{
  return grain / s->page_entries;
}

static inline uint64_t
sparse_file_end(const struct sparse *s)
{
  return __atomic_load_n(&s->file_end, __ATOMIC_RELAXED);
}

/* --- grain_table.c -------------------------------------------------------- */

int sparse_tables_open(struct sparse *s, struct vdk_error *err);
void sparse_tables_free(struct sparse *s);
/* The page, loaded. Called and returns with the mutex held, but may drop it
 * in between. The page stays while the mutex is held. */
int sparse_page_get(struct sparse *s, uint64_t number, struct grain_page **ret,
                    struct vdk_error *err);
/* The first runs from GRAIN on, at least one and at most MAX, up to COUNT
 * grains. Takes the mutex. */
int sparse_lookup(struct sparse *s, uint64_t grain, uint64_t count,
                  struct grain_run *runs, size_t max, size_t *ret,
                  struct vdk_error *err);
/* How far the state of GRAIN reaches, at most COUNT. Takes the mutex. */
int sparse_map_grains(struct sparse *s, uint64_t grain, uint64_t count,
                      uint64_t *ret_count, int *ret_state,
                      struct vdk_error *err);
/* State and place of entry INDEX of PAGE; an error when it is damaged. */
int sparse_entry(struct sparse *s, const struct grain_page *page,
                 uint32_t index, int *ret_state, struct vdk_error *err);
void sparse_page_dirty(struct sparse *s, struct grain_page *page,
                       uint32_t first, uint32_t end);

/* --- grain_check.c -------------------------------------------------------- */

/* False when a grain cannot be at SECTOR: in the metadata or beyond the end
 * of the file. GRAIN counts since the last one may be short. */
bool sparse_sector_valid(const struct sparse *s, uint64_t grain,
                         uint32_t sector);
/* Fills the entries of the page from both copies (bytes of the file, little
 * endian; REDUNDANT may be NULL). Called without the mutex. */
int sparse_page_decide(struct sparse *s, struct grain_page *page,
                       const uint8_t *primary, const uint8_t *redundant,
                       struct vdk_error *err);
/* The error for a damaged entry, naming it. Mutex held. */
int sparse_entry_error(struct sparse *s, const struct grain_page *page,
                       uint32_t index, struct vdk_error *err);
/* True when table GT of directory DIRECTORY can be read. */
bool sparse_table_valid(const struct sparse *s, uint32_t sector);

/* --- grain_alloc.c -------------------------------------------------------- */

int sparse_alloc_open(struct sparse *s, struct vdk_error *err);
void sparse_alloc_free(struct sparse *s);
/* As sparse_lookup, but every grain has a place: new ones are FRESH, zero,
 * and known to nobody until sparse_commit. */
int sparse_reserve(struct sparse *s, uint64_t grain, uint64_t count,
                   struct grain_run *runs, size_t max, size_t *ret,
                   struct vdk_error *err);
int sparse_commit(struct sparse *s, uint64_t grain, const struct grain_run *run,
                  struct vdk_error *err);
/* Lets whole grains read as zeroes and frees their places. */
int sparse_release(struct sparse *s, uint64_t grain, uint64_t count,
                   struct vdk_error *err);
/* Table GT exists in all directories. Mutex held. */
int sparse_table_ensure(struct sparse *s, uint64_t gt, struct vdk_error *err);

/* --- grain_flush.c -------------------------------------------------------- */

/* Before the first change: marks the file, repairs what a crash left. */
int sparse_begin(struct sparse *s, struct vdk_error *err);
int sparse_flush(struct sparse *s, struct vdk_error *err);
/* Flushes when much is dirty. */
int sparse_flush_if_full(struct sparse *s, struct vdk_error *err);
/* The header allows zeroed grains from now on. */
int sparse_allow_zero_grains(struct sparse *s, struct vdk_error *err);
/* The last flush, and the mark of a clean end. */
int sparse_finish(struct sparse *s, struct vdk_error *err);

#endif
