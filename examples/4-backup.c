/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Example 4: a small backup program on the vmbk writer and reader.
 *
 *   4-backup init REPO
 *   4-backup save REPO NAME DISK        a new restore point of one disk
 *   4-backup diff REPO OLDER NEWER      what changed between two points
 *   4-backup restore REPO POINT TARGET  the disk as a raw image
 *
 * The first "save" stores everything that the disk holds. Each later one
 * starts from the latest point ("inherit"), reads the disk beside what was
 * stored, and puts only what differs. Either way the new point is complete by
 * itself. A program that knows the changed ranges, from a hypervisor, would
 * put those and not compare.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdkit/vdkit.h>

#define KEY   "scsi0:0"
#define PIECE (256u * 1024) /* a chunk of the repository */

struct save {
  struct vdk_repo *repo;
  struct vdk_handle *disk;
  struct vdk_vmbk_reader *before; /* the latest point; NULL: there is none */
  struct vdk_vmbk_writer *writer;
  struct vdk_vmbk_disk *target;
  unsigned char *now, *then; /* PIECE bytes each */
  uint64_t put;              /* bytes */
  struct vdk_error *err;
};

/* --- save ----------------------------------------------------------------- */

/* A UUID made of the name, so that the next run finds the same VM. */
static void
make_uuid(const char *name, char ret[37])
{
  uint64_t hash[2] = {UINT64_C(0xcbf29ce484222325), 99};

  for (; *name; name++)
    for (int i = 0; i < 2; i++)
      hash[i] = (hash[i] ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
  snprintf(ret, 37, "%08x-%04x-4%03x-8%03x-%012" PRIx64,
           (unsigned)(hash[0] >> 32), (unsigned)(hash[0] >> 16 & 0xffff),
           (unsigned)(hash[0] & 0xfff), (unsigned)(hash[1] >> 48 & 0xfff),
           hash[1] & UINT64_C(0xffffffffffff));
}

static int
put_if_changed(struct save *s, uint64_t offset, size_t len)
{
  size_t got = 0;

  if (vdk_read_at(s->disk, offset, s->now, len, NULL, s->err) < 0)
    return -1;
  if (s->before) {
    if (vdk_vmbk_reader_pread(s->before, KEY, offset, s->then, len, &got,
                              s->err) < 0)
      return -1;
    if (got == len && memcmp(s->now, s->then, len) == 0)
      return 0;
  }
  s->put += len;
  return vdk_vmbk_writer_put(s->target, offset, s->now, len, s->err);
}

/* One extent of the disk: what it holds is read, holes are told. */
static int
save_extent(void *opaque, const struct vdk_extent *e)
{
  struct save *s = opaque;
  uint64_t offset = e->offset, end = e->offset + e->length;

  if (e->state == VDK_EXTENT_ZERO)
    return vdk_vmbk_writer_hole(s->target, offset, e->length, s->err);
  while (offset < end) {
    uint64_t len = PIECE - offset % PIECE;

    if (len > end - offset)
      len = end - offset;
    if (put_if_changed(s, offset, (size_t)len) < 0)
      return -1;
    offset += len;
  }
  return 0;
}

static int
start_point(struct save *s, const char *name)
{
  struct vdk_vmbk_writer_options w = VDK_VMBK_WRITER_OPTIONS_INIT;
  struct vdk_vmbk_disk_options d = VDK_VMBK_DISK_OPTIONS_INIT;
  char uuid[37];
  int rc;

  make_uuid(name, uuid);
  rc = vdk_vmbk_reader_open(s->repo, uuid, &s->before, s->err);
  if (rc < 0 && rc != -VDK_E_NO_POINT)
    return rc;
  w.vm_uuid = uuid;
  w.vm_name = name;
  w.parent = s->before ? vdk_vmbk_reader_point(s->before)->id : NULL;
  rc = vdk_vmbk_writer_open(s->repo, &w, &s->writer, s->err);
  if (rc < 0)
    return rc;
  d.key = KEY;
  d.capacity = vdk_capacity(s->disk);
  d.inherit = s->before ? KEY : NULL;
  d.method = s->before ? VDK_METHOD_COMPARE : VDK_METHOD_FULL;
  return vdk_vmbk_writer_disk(s->writer, &d, &s->target, s->err);
}

static int
save_disk(struct save *s, const char *name)
{
  const struct vdk_point *point;

  if (start_point(s, name) < 0 ||
      vdk_extents(s->disk, 0, VDK_TO_END, 0, save_extent, s, s->err) < 0 ||
      vdk_vmbk_writer_commit(s->writer, &point, s->err) < 0)
    return -1;
  printf("%s %s %" PRIu64 "\n", point->id, s->before ? "incremental" : "full",
         s->put);
  vdk_point_free(point);
  return 0;
}

static int
save(const char *repo, const char *name, const char *disk,
     struct vdk_error *err)
{
  struct save s = {.err = err};
  int rc = -1;

  s.now = malloc(PIECE);
  s.then = malloc(PIECE);
  if (s.now && s.then && vdk_repo_open(repo, NULL, &s.repo, err) == 0 &&
      vdk_open(disk, NULL, &s.disk, err) == 0)
    rc = save_disk(&s, name);
  /* Everything is closed whatever happened; NULL is fine everywhere. */
  vdk_vmbk_writer_close(s.writer);
  vdk_vmbk_reader_close(s.before);
  vdk_close(s.disk, NULL);
  vdk_repo_close(s.repo);
  free(s.now);
  free(s.then);
  return rc;
}

/* --- diff ----------------------------------------------------------------- */

static int
print_extent(void *opaque, const struct vdk_extent *e)
{
  (void)opaque;
  printf("%" PRIu64 " %" PRIu64 " %s\n", e->offset, e->length,
         e->state == VDK_EXTENT_DATA ? "data" : "zero");
  return 0;
}

static int
diff(const char *path, const char *older, const char *newer,
     struct vdk_error *err)
{
  struct vdk_vmbk_reader *a = NULL, *b = NULL;
  struct vdk_repo *repo = NULL;
  int rc = -1;

  if (vdk_repo_open(path, NULL, &repo, err) == 0 &&
      vdk_vmbk_reader_open(repo, older, &a, err) == 0 &&
      vdk_vmbk_reader_open(repo, newer, &b, err) == 0)
    rc = vdk_vmbk_reader_diff(a, b, KEY, print_extent, NULL, err);
  vdk_vmbk_reader_close(a);
  vdk_vmbk_reader_close(b);
  vdk_repo_close(repo);
  return rc;
}

/* --- restore -------------------------------------------------------------- */

struct restore {
  struct vdk_vmbk_reader *reader;
  int out;
  unsigned char *buf; /* PIECE bytes */
  struct vdk_error *err;
};

static int
restore_extent(void *opaque, const struct vdk_extent *e)
{
  struct restore *r = opaque;
  uint64_t offset = e->offset, end = e->offset + e->length;

  while (e->state == VDK_EXTENT_DATA && offset < end) {
    size_t len = end - offset < PIECE ? (size_t)(end - offset) : PIECE;

    if (vdk_vmbk_reader_pread(r->reader, KEY, offset, r->buf, len, NULL,
                              r->err) < 0)
      return -1;
    if (pwrite(r->out, r->buf, len, (off_t)offset) != (ssize_t)len) {
      perror("writing the target");
      return -1;
    }
    offset += len;
  }
  return 0;
}

static int
restore_to(struct restore *r, const char *target)
{
  uint64_t size;
  int rc = -1;

  r->out = open(target, O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (r->out < 0) {
    perror(target);
    return -1;
  }
  if (vdk_vmbk_reader_disk_size(r->reader, KEY, &size, r->err) == 0 &&
      ftruncate(r->out, (off_t)size) == 0)
    rc = vdk_vmbk_reader_extents(r->reader, KEY, 0, VDK_TO_END, restore_extent,
                                 r, r->err);
  return close(r->out) < 0 ? -1 : rc;
}

static int
restore(const char *path, const char *which, const char *target,
        struct vdk_error *err)
{
  struct restore r = {.err = err};
  struct vdk_repo *repo = NULL;
  int rc = -1;

  r.buf = malloc(PIECE);
  if (r.buf && vdk_repo_open(path, NULL, &repo, err) == 0 &&
      vdk_vmbk_reader_open(repo, which, &r.reader, err) == 0)
    rc = restore_to(&r, target);
  vdk_vmbk_reader_close(r.reader);
  vdk_repo_close(repo);
  free(r.buf);
  return rc;
}

/* -------------------------------------------------------------------------- */

int
main(int argc, char **argv)
{
  struct vdk_error err = VDK_ERROR_INIT;
  const char *verb = argc > 1 ? argv[1] : "";
  int rc;

  if (argc == 3 && strcmp(verb, "init") == 0) {
    rc = vdk_repo_init(argv[2], NULL, &err);
  } else if (argc == 5 && strcmp(verb, "save") == 0) {
    rc = save(argv[2], argv[3], argv[4], &err);
  } else if (argc == 5 && strcmp(verb, "diff") == 0) {
    rc = diff(argv[2], argv[3], argv[4], &err);
  } else if (argc == 5 && strcmp(verb, "restore") == 0) {
    rc = restore(argv[2], argv[3], argv[4], &err);
  } else {
    fprintf(stderr,
            "usage: %s init REPO\n"
            "       %s save REPO NAME DISK\n"
            "       %s diff REPO OLDER NEWER\n"
            "       %s restore REPO POINT TARGET\n",
            argv[0], argv[0], argv[0], argv[0]);
    return 2;
  }
  if (rc < 0) {
    fprintf(stderr, "%s\n", vdk_error_message(&err));
    return vdk_error_exit_status(&err) ? vdk_error_exit_status(&err) : 1;
  }
  return 0;
}
