/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/host/vm_fixture.h"

#include <sys/stat.h>
#include <time.h>

#include "base/str.h"
#include "format/format.h"

/* --- Files --------------------------------------------------------------- */

void
fx_make_dir(char *ret, size_t size)
{
  const char *tmp = getenv("TMPDIR");

  snprintf(ret, size, "%s/vdkit-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(ret));
}

void
fx_run(const char *fmt, ...)
{
  char command[4096];
  va_list args;

  va_start(args, fmt);
  vsnprintf(command, sizeof command, fmt, args);
  va_end(args);
  if (system(command) != 0)
    fail_msg("failed: %s", command);
}

void
fx_remove(const char *dir)
{
  fx_run("rm -rf '%s'", dir);
}

bool
fx_has(const char *program)
{
  _cleanup_free_ char *command =
      str_printf("command -v %s >/dev/null 2>&1", program);

  return system(command) == 0;
}

void
fx_write(const char *dir, const char *name, const char *text)
{
  _cleanup_free_ char *path = path_join(dir, name);
  FILE *f = fopen(path, "w");

  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

long long
fx_size(const char *dir, const char *name)
{
  _cleanup_free_ char *path = path_join(dir, name);
  struct stat st;

  return stat(path, &st) < 0 ? -1 : (long long)st.st_size;
}

/* --- The VM -------------------------------------------------------------- */

static void
write_config(struct vmfx *fx)
{
  _cleanup_strbuf_ struct strbuf vmx = {0}, vmsd = {0};

  strbuf_printf(&vmx,
                ".encoding = \"UTF-8\"\ndisplayName = \"fixture\"\n"
                "guestOS = \"debian12-64\"\nvirtualHW.version = \"19\"\n"
                "uuid.bios = \"56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d "
                "0e\"\nscsi0.present = \"TRUE\"\n"
                "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"%s\"\n",
                fx->top);
  fx_write(fx->dir, "fixture.vmx", vmx.text);
  strbuf_append(&vmsd, ".encoding = \"UTF-8\"\n");
  strbuf_printf(&vmsd, "snapshot.numSnapshots = \"%u\"\n", fx->snapshot_count);
  if (fx->current)
    strbuf_printf(&vmsd, "snapshot.current = \"%u\"\n", fx->current);
  for (unsigned uid = 1; uid <= fx->snapshot_count; uid++) {
    const struct vmfx_snapshot *s = &fx->snapshots[uid];

    strbuf_printf(&vmsd,
                  "snapshot%u.uid = \"%u\"\n"
                  "snapshot%u.displayName = \"s%u\"\n"
                  "snapshot%u.disk0.fileName = \"%s\"\n"
                  "snapshot%u.disk0.node = \"scsi0:0\"\n",
                  uid - 1, uid, uid - 1, uid, uid - 1, s->file, uid - 1);
    if (s->parent)
      strbuf_printf(&vmsd, "snapshot%u.parent = \"%u\"\n", uid - 1, s->parent);
  }
  fx_write(fx->dir, "fixture.vmsd", vmsd.text);
}

static struct vdk_disk *
open_file(struct vmfx *fx, const char *name, unsigned flags)
{
  const struct disk_open_options options = {.flags = flags};
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *disk;

  assert_ok(dir_local_open(fx->dir, 0, &dir, &err));
  assert_ok(disk_open(dir, name, &options, &disk, &err));
  return disk;
}

struct vdk_disk *
vmfx_open(struct vmfx *fx, unsigned flags)
{
  return open_file(fx, fx->top, flags);
}

static void
create(struct vmfx *fx, const struct format_create *c)
{
  const struct format *format = format_by_name("vmdk");
  _cleanup_dir_ struct vdk_dir *dir = NULL;
  struct vdk_error err = VDK_ERROR_INIT;

  assert_ok(dir_local_open(fx->dir, 0, &dir, &err));
  assert_ok(format->create(dir, fx->top, c, &err));
}

void
vmfx_new(struct vmfx *fx, const char *type, size_t size)
{
  const struct format_create c = {
      .size = size, .type = type, .adapter = "lsilogic", .hw_version = 19};

  memset(fx, 0, sizeof *fx);
  fx_make_dir(fx->dir, sizeof fx->dir);
  snprintf(fx->vmx, sizeof fx->vmx, "%.*s/fixture.vmx", (int)sizeof fx->dir - 1,
           fx->dir);
  snprintf(fx->top, sizeof fx->top, "disk.vmdk");
  fx->size = size;
  fx->live = calloc(1, size);
  assert_non_null(fx->live);
  create(fx, &c);
  write_config(fx);
}

void
vmfx_free(struct vmfx *fx)
{
  for (unsigned uid = 1; uid <= fx->snapshot_count; uid++)
    free(fx->snapshots[uid].image);
  free(fx->live);
  fx_remove(fx->dir);
}

/* A random piece, mostly small, at any sector. */
static void
random_piece(struct vmfx *fx, size_t *ret_offset, size_t *ret_len)
{
  size_t sectors = fx->size / 512;
  size_t len = 1 + rand() % (rand() % 4 ? 40 : 1000);

  *ret_offset = rand() % sectors;
  *ret_len = MIN(len, sectors - *ret_offset) * 512;
  *ret_offset *= 512;
}

void
vmfx_write(struct vmfx *fx, unsigned writes)
{
  struct vdk_disk *disk = vmfx_open(fx, DISK_WRITE);
  struct vdk_error err = VDK_ERROR_INIT;

  while (writes--) {
    size_t offset, len;

    random_piece(fx, &offset, &len);
    for (size_t i = 0; i < len; i++)
      fx->live[offset + i] = rand() >> 7;
    assert_ok(disk_write(disk, offset, fx->live + offset, len, &err));
  }
  assert_ok(disk_close(disk, &err));
}

void
vmfx_zero(struct vmfx *fx)
{
  struct vdk_disk *disk = vmfx_open(fx, DISK_WRITE);
  struct vdk_error err = VDK_ERROR_INIT;
  size_t offset, len;

  random_piece(fx, &offset, &len);
  memset(fx->live + offset, 0, len);
  assert_ok(disk_zero(disk, offset, len, &err));
  assert_ok(disk_close(disk, &err));
}

void
vmfx_write_qemu(struct vmfx *fx, unsigned writes)
{
  _cleanup_strbuf_ struct strbuf b = {0};

  while (writes--) {
    uint8_t byte = rand();
    size_t offset, len;

    random_piece(fx, &offset, &len);
    memset(fx->live + offset, byte, len);
    strbuf_printf(&b, " -c 'write -P %u %zu %zu'", byte, offset, len);
  }
  fx_run("qemu-io -f vmdk%s '%s/%s' >/dev/null", b.text, fx->dir, fx->top);
}

/* A new link over FILE becomes the written one. */
static void
child_of(struct vmfx *fx, const char *file)
{
  struct vdk_disk *parent = open_file(fx, file, 0);
  struct link_info info;
  struct format_create c = {
      .size = fx->size, .type = "monolithicSparse", .has_parent = true};

  disk_link_info(parent, 0, &info);
  c.parent_hint = file;
  c.parent_cid = info.cid;
  snprintf(fx->top, sizeof fx->top, "disk-%06u.vmdk", ++fx->next_file);
  create(fx, &c);
  disk_close(parent, NULL);
}

void
vmfx_snapshot(struct vmfx *fx)
{
  struct vmfx_snapshot *s = &fx->snapshots[++fx->snapshot_count];

  assert_true(fx->snapshot_count <= VMFX_SNAPSHOTS_MAX);
  memcpy(s->file, fx->top, sizeof s->file);
  s->image = malloc(fx->size);
  assert_non_null(s->image);
  memcpy(s->image, fx->live, fx->size);
  s->parent = fx->current;
  fx->current = fx->snapshot_count;
  child_of(fx, s->file);
  write_config(fx);
}

void
vmfx_revert(struct vmfx *fx, unsigned uid)
{
  fx_run("rm '%s/%s'", fx->dir, fx->top);
  /* Half of the time under the old name, as some products do. */
  if (rand() % 2)
    fx->next_file--;
  memcpy(fx->live, fx->snapshots[uid].image, fx->size);
  fx->current = uid;
  child_of(fx, fx->snapshots[uid].file);
  write_config(fx);
}

void
vmfx_settle(void)
{
  nanosleep(&(struct timespec){0, 60 * 1000 * 1000}, NULL);
}

void
vmfx_check(struct vdk_disk *disk, const uint8_t *image, size_t size)
{
  _cleanup_free_ uint8_t *have = malloc(size);
  struct vdk_error err = VDK_ERROR_INIT;

  assert_non_null(have);
  assert_int_equal(disk_size(disk), size);
  assert_ok(disk_read(disk, 0, have, size, &err));
  for (size_t i = 0; i < size; i += 512)
    if (memcmp(have + i, image + i, 512) != 0)
      fail_msg("sector %zu differs", i / 512);
}
