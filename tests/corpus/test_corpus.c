/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real and damaged images: each does what the manifest beside them says.
 *
 *   test_corpus DIRECTORY
 *
 * The manifest is a table: path, who wrote it, type, size, hash of the file,
 * hash of the guest's content, what to expect. Types that this version does
 * not support must be refused as such. No image may take more than 2 s; the
 * memory of the whole run may not pass 200 MB. Exit 77 when there is no
 * corpus.
 */
#include <openssl/evp.h>
#include <sys/resource.h>

#include "tests/unit/unit.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "disk/disk.h"

#define CHUNK       (1u << 20)
#define SECONDS_MAX 2
#define MEMORY_MAX  (200l << 10) /* KiB */

struct image {
  char *path, *who, *type, *size, *file_hash, *hash, *expect;
};

static struct vdk_dir *corpus;
static int failures, passed;
static uint8_t *buf;

static void
complain(const struct image *im, const char *what, const char *more)
{
  printf("# %s: %s: %s\n", im->path, what, more);
  failures++;
}

static void
md_freep(EVP_MD_CTX **ctx)
{
  EVP_MD_CTX_free(*ctx);
}

/* The hash of the guest's content, or the error that came in the way. */
static int
content_hash(struct vdk_disk *d, char ret[65], struct vdk_error *err)
{
  _cleanup_(md_freep) EVP_MD_CTX *sha = EVP_MD_CTX_new();
  uint64_t size = disk_size(d), offset = 0;
  uint8_t digest[32];

  if (!sha || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1)
    return error_nomem(err, "hashing");
  while (offset < size) {
    uint64_t len = MIN(size - offset, CHUNK), run;
    int state, r;

    r = disk_extent(d, offset, size - offset, &run, &state, err);
    if (r != 0)
      return r;
    /* Large disks are only hashed where they have data. */
    if (state == VDK_EXTENT_ZERO && size > (256u << 20)) {
      offset += run;
      continue;
    }
    r = disk_read(d, offset, buf, (size_t)len, err);
    if (r != 0)
      return r;
    EVP_DigestUpdate(sha, buf, (size_t)len);
    offset += len;
  }
  EVP_DigestFinal_ex(sha, digest, NULL);
  hex_encode(digest, sizeof digest, ret);
  return 0;
}

static int
open_image(const struct image *im, unsigned flags, struct vdk_disk **ret,
           struct vdk_error *err)
{
  struct disk_open_options o = {.flags = flags | DISK_NO_LOCK,
                                .format = "vmdk"};

  /* Some files are bare disks under the name of a VMDK. */
  if (strcmp(im->type, "-") == 0 && im->hash[0] != '-')
    o.format = NULL;

  return disk_open(corpus, im->path, &o, ret, err);
}

/* Opens and reads all of it; HASH is "" when the disk is too large to hash. */
static int
read_image(const struct image *im, unsigned flags, char hash[65],
           struct vdk_error *err)
{
  _cleanup_disk_ struct vdk_disk *d = NULL;
  int r = open_image(im, flags, &d, err);

  hash[0] = 0;
  if (r == 0)
    r = content_hash(d, hash, err);
  if (r == 0 && disk_size(d) > (256u << 20))
    hash[0] = 0;
  return r;
}

static bool
is_part(const struct image *im)
{
  return strstr(im->expect, "part of another image") != NULL;
}

static void
check_content(const struct image *im)
{
  struct vdk_error err = VDK_ERROR_INIT;
  char hash[65];
  int r;

  r = read_image(im, 0, hash, &err);
  if (strcasecmp(im->type, "vmfsSparse") == 0) {
    if (r != -VDK_E_UNSUPPORTED)
      complain(im, "must be refused as unsupported", vdk_error_message(&err));
  } else if (r != 0) {
    complain(im, "does not read", vdk_error_message(&err));
  } else if (hash[0] && strcmp(hash, im->hash) != 0) {
    complain(im, "reads wrongly", hash);
  }
}

#define SPARSE_HASH                                                            \
  "a3bcf05f07a1c06a3380eeca8571f0efb2b85afafa1e21662b8cad436d1f7727"

/* What happens to the damaged ones. CODE 0: reads, with HASH if given. */
static const struct {
  const char *name;
  int code, salvage_code;
  const char *hash, *salvage_hash, *text;
} damaged[] = {
    {"duplicate-gte", VDK_E_CORRUPT, 0, NULL, NULL, "grain 1 "},
    {"gte-into-metadata", VDK_E_CORRUPT, 0, NULL, SPARSE_HASH, "grain 1 "},
    {"hdr-capacity-huge", VDK_E_CORRUPT, VDK_E_CORRUPT, NULL, NULL, "capacity"},
    {"hdr-descsize-huge", VDK_E_CORRUPT, VDK_E_CORRUPT, NULL, NULL,
     "descriptor"},
    {"hdr-gd-beyond-eof", VDK_E_CORRUPT, -1, NULL, NULL, NULL},
    {"hdr-grainsize-0", VDK_E_CORRUPT, VDK_E_CORRUPT, NULL, NULL, "grain size"},
    {"hdr-grainsize-not-pow2", VDK_E_CORRUPT, VDK_E_CORRUPT, NULL, NULL,
     "grain size"},
    {"hdr-gtes-0", VDK_E_CORRUPT, VDK_E_CORRUPT, NULL, NULL, "entries"},
    {"hdr-incompat-flag-bit20", VDK_E_UNSUPPORTED, VDK_E_UNSUPPORTED, NULL,
     NULL, "0x00100000"},
    {"hdr-version-4", VDK_E_VERSION, VDK_E_VERSION, NULL, NULL, "version 4"},
    {"newline-bytes-mangled", VDK_E_CORRUPT, 0, NULL, SPARSE_HASH, "text mode"},
    {"primary-gt-zeroed", VDK_E_CORRUPT, 0, NULL, SPARSE_HASH, "redundant"},
    {"rgt-garbage", 0, 0, SPARSE_HASH, SPARSE_HASH, NULL},
    {"unclean-shutdown", 0, 0, SPARSE_HASH, SPARSE_HASH, NULL},
    {"stream-grain-lba-mismatch", VDK_E_CORRUPT, -1, NULL, NULL, NULL},
    {"stream-grain-payload-corrupt", VDK_E_CORRUPT, -1, NULL, NULL, NULL},
    {"stream-trailing-zero-padding", 0, 0, NULL, NULL, NULL},
    {"stream-truncated-before-footer", VDK_E_TRUNCATED, -1, NULL, NULL, NULL},
    {"stream-truncated-mid-grain", VDK_E_TRUNCATED, -1, NULL, NULL, NULL},
    {"vmdk-invalid", VDK_E_TRUNCATED, -1, NULL, NULL, NULL},
};

static void
check_damaged(const struct image *im)
{
  const char *base = path_basename(im->path);
  struct vdk_error err = VDK_ERROR_INIT;
  char hash[65];
  int r;

  for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
    size_t len = strlen(damaged[i].name);

    if (strncmp(base, damaged[i].name, len) != 0 || base[len] != '.')
      continue;
    r = read_image(im, 0, hash, &err);
    if (r != -damaged[i].code)
      complain(im, "without salvage",
               r == 0 ? "was read" : vdk_error_message(&err));
    else if (r != 0 && damaged[i].text && !strstr(err.text, damaged[i].text))
      complain(im, "the message does not name it", vdk_error_message(&err));
    else if (r == 0 && damaged[i].hash && strcmp(hash, damaged[i].hash) != 0)
      complain(im, "reads wrongly", hash);
    r = read_image(im, DISK_SALVAGE, hash, &err);
    if (damaged[i].salvage_code >= 0 && r != -damaged[i].salvage_code)
      complain(im, "with salvage",
               r == 0 ? "was read" : vdk_error_message(&err));
    else if (r == 0 && damaged[i].salvage_hash &&
             strcmp(hash, damaged[i].salvage_hash) != 0)
      complain(im, "salvages wrongly", hash);
    return;
  }
  complain(im, "damaged, and nothing is known of it", im->expect);
}

/* A real stream that was cut: refused, but salvaged. */
static void
check_cut(const struct image *im)
{
  struct vdk_error err = VDK_ERROR_INIT;
  char hash[65];

  if (read_image(im, 0, hash, &err) != -VDK_E_TRUNCATED)
    complain(im, "must be refused as truncated", vdk_error_message(&err));
  error_clear(&err);
  if (read_image(im, DISK_SALVAGE, hash, &err) != 0)
    complain(im, "is not salvaged", vdk_error_message(&err));
}

/* A text alone: refused for the right reason, which names a file. */
static void
check_descriptor(const struct image *im)
{
  static const struct {
    const char *name;
    int code;
  } special[] = {
      {"custom-mixed-access-zero", VDK_E_UNSUPPORTED},
      {"fullDevice-windows", VDK_E_UNSUPPORTED},
      {"partitionedDevice-linux", VDK_E_UNSUPPORTED},
      {"rdm-physical", VDK_E_UNSUPPORTED},
      {"rdm-virtual", VDK_E_UNSUPPORTED},
      {"seSparse-child-fresh", VDK_E_UNSUPPORTED},
      {"malicious-path-traversal", VDK_E_UNSAFE_PATH},
      {"self-parent-loop", VDK_E_CORRUPT},
      {"vmfs-encryptionKeys-fqid", VDK_E_ENCRYPTED},
  };
  struct vdk_error err = VDK_ERROR_INIT;
  struct vdk_disk *d = NULL;
  int want = VDK_E_NOT_FOUND;

  for (size_t i = 0; i < ARRAY_SIZE(special); i++)
    if (strncmp(path_basename(im->path), special[i].name,
                strlen(special[i].name)) == 0)
      want = special[i].code;
  if (open_image(im, 0, &d, &err) == 0) {
    disk_close(d, NULL);
    complain(im, "opened", "although its extents are not there");
  } else if (err.code != want) {
    complain(im, "is refused with another code", vdk_error_message(&err));
  }
}

static void
check(const struct image *im)
{
  uint64_t start = sys_monotonic_ns();
  int before = failures;

  if (is_part(im) || !str_ends_with_nocase(im->path, "vmdk"))
    if (is_part(im) || !str_ends_with_nocase(im->path, ".img"))
      return;
  if (strcmp(im->who, "D") == 0)
    check_descriptor(im);
  else if (strcmp(im->who, "M") == 0)
    check_damaged(im);
  else if (str_starts_with(im->expect, "a real VMware stream cut") ||
           str_starts_with(im->expect, "as above"))
    check_cut(im);
  else
    check_content(im);
  if (sys_monotonic_ns() - start > SECONDS_MAX * 1000000000ull)
    complain(im, "is slow", "more than 2 s");
  passed += failures == before;
}

static void
check_line(char *line)
{
  char *fields[7] = {0}, *p = line;

  for (int i = 0; i < 7 && p; i++)
    fields[i] = strsep(&p, "\t");
  if (fields[6] && line[0] != '#') {
    struct image im = {fields[0], fields[1], fields[2], fields[3],
                       fields[4], fields[5], fields[6]};

    check(&im);
  }
}

int
main(int argc, char **argv)
{
  struct vdk_error err = VDK_ERROR_INIT;
  struct rusage usage;
  char *manifest = NULL, *p;
  size_t len;

  if (argc < 2 || dir_local_open(argv[1], 0, &corpus, &err) != 0) {
    printf("no corpus: skipped\n");
    return 77;
  }
  buf = mem_buffer(CHUNK);
  if (!buf ||
      dir_get(corpus, "manifest.tsv", 1u << 20, &manifest, &len, &err)) {
    printf("no manifest: skipped: %s\n", err.text);
    return 77;
  }
  p = manifest;
  while (p)
    check_line(strsep(&p, "\n"));
  getrusage(RUSAGE_SELF, &usage);
  printf("%d images as expected, %d failures, peak memory %ld KiB\n", passed,
         failures, usage.ru_maxrss);
  if (usage.ru_maxrss > MEMORY_MAX)
    failures++;
  free(manifest);
  free(buf);
  dir_unref(corpus);
  return failures || passed == 0;
}
