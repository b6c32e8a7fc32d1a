/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit info: what a disk is, its chain, its files. */
#include "cli/cli.h"

#include <string.h>

struct info_args {
  const char *format;
};

static const struct cli_option options[] = {
    {"format", 0, "FORMAT", CLI_WORD, offsetof(struct info_args, format),
     "vmdk or raw, instead of what the content says", .choices = cli_formats},
    {0},
};

/* What a walk over a link's files fills: the table or the JSON array. */
struct files {
  struct table *table;
  json_t *array;
  unsigned link;
};

static int
add_file(void *opaque, const char *name, uint64_t bytes)
{
  struct files *files = opaque;
  char link[16], size[SIZE_TEXT];

  if (files->array) {
    json_t *file = json_object();

    json_put_text(file, "name", name);
    json_put_u64(file, "bytes", bytes);
    json_add(files->array, file);
  } else {
    snprintf(link, sizeof link, "%u", files->link);
    table_add(files->table, link, text_size(bytes, size), name);
  }
  return 0;
}

static int
add_meta(void *opaque, const char *key, const char *value)
{
  json_put_text(opaque, key, value);
  return 0;
}

static int
print_meta(void *opaque, const char *key, const char *value)
{
  table_add((struct table *)opaque, key, value);
  return 0;
}

static void
put_cid(json_t *object, const char *key, int has, uint32_t cid)
{
  char text[16];

  snprintf(text, sizeof text, "%08x", cid);
  json_put_text(object, key, has ? text : NULL);
}

static int
link_json(struct cli *cli, struct vdk_handle *h, unsigned index, json_t **ret)
{
  struct vdk_link_info info = VDK_LINK_INFO_INIT;
  json_t *link = json_object();
  struct files files = {.array = json_array()};
  int r;

  r = vdk_get_link_info(h, index, &info, &cli->err);
  if (r == 0)
    r = vdk_link_files(h, index, add_file, &files, &cli->err);
  if (r) {
    json_decref(link);
    json_decref(files.array);
    return r;
  }
  json_put_text(link, "name", info.name);
  json_put_text(link, "format", info.format);
  json_put_text(link, "type", info.type);
  json_put_u64(link, "capacity", info.capacity);
  json_put_u64(link, "allocated", info.allocated);
  json_put_u64(link, "granularity", info.granularity);
  put_cid(link, "cid", info.has_cid, info.cid);
  put_cid(link, "parent_cid", info.has_cid && info.has_parent, info.parent_cid);
  json_put(link, "files", files.array);
  *ret = link;
  return 0;
}

static int
report_json(struct cli *cli, struct vdk_handle *h, const struct vdk_info *info,
            const char *name)
{
  json_t *document = cli_document("vdkit.info/1"), *links = json_array();
  json_t *meta = json_object();
  int r = 0;

  json_put_text(document, "disk", name);
  json_put_text(document, "format", info->format);
  json_put_text(document, "type", info->type);
  json_put_u64(document, "capacity", info->capacity);
  json_put_u64(document, "allocated", info->allocated);
  json_put_u64(document, "granularity", info->granularity);
  json_put_text(document, "adapter", *info->adapter ? info->adapter : NULL);
  put_cid(document, "cid", info->has_cid, info->cid);
  json_put(document, "links", links);
  json_put(document, "metadata", meta);
  for (unsigned i = 0; i < info->links && r == 0; i++) {
    json_t *link = NULL;

    r = link_json(cli, h, i, &link);
    if (r == 0)
      json_add(links, link);
  }
  if (r == 0)
    r = vdk_meta_list(h, add_meta, meta, &cli->err);
  if (r && cli->err.code != VDK_E_NO_KEY) {
    json_decref(document);
    return cli_fail(cli);
  }
  return cli_report(cli, document, STATUS_OK);
}

static void
add_field(struct table *t, const char *name, char *value)
{
  table_add(t, name, value);
  free(value);
}

static void
print_summary(const struct cli *cli, const struct vdk_info *info,
              const char *name)
{
  _cleanup_table_ struct table t = {0};
  char size[SIZE_TEXT];

  table_add(&t, "Disk", name);
  add_field(
      &t, "Format",
      text_printf("%s%s%s", info->format, *info->type ? ", " : "", info->type));
  add_field(&t, "Capacity", text_size_exact(info->capacity));
  add_field(&t, "Allocated", text_size_exact(info->allocated));
  table_add(&t, "Allocation unit", text_size(info->granularity, size));
  if (*info->adapter)
    table_add(&t, "Adapter", info->adapter);
  if (info->has_cid)
    add_field(&t, "Content id", text_printf("%08x", info->cid));
  add_field(&t, "Links in the chain", text_printf("%u", info->links));
  table_print_fields(&t, cli->report);
}

static int
print_chain(struct cli *cli, struct vdk_handle *h, unsigned count)
{
  _cleanup_table_ struct table links = {0}, names = {0};
  struct files files = {.table = &names};
  int r;

  table_add(&links, ">Link", "Type", ">Capacity", ">Allocated", "Name");
  table_add(&names, ">Link", ">Size", "File");
  for (unsigned i = 0; i < count; i++) {
    struct vdk_link_info info = VDK_LINK_INFO_INIT;
    char index[16], capacity[SIZE_TEXT], allocated[SIZE_TEXT];

    r = vdk_get_link_info(h, i, &info, &cli->err);
    if (r)
      return r;
    snprintf(index, sizeof index, "%u", i);
    table_add(&links, index, *info.type ? info.type : info.format,
              text_size(info.capacity, capacity),
              text_size(info.allocated, allocated), info.name);
    files.link = i;
    r = vdk_link_files(h, i, add_file, &files, &cli->err);
    if (r)
      return r;
  }
  if (count > 1) {
    fputc('\n', cli->report);
    table_print(&links, "", cli->report);
  }
  if (names.rows > 1) {
    fputc('\n', cli->report);
    table_print(&names, "", cli->report);
  }
  return 0;
}

static int
report_text(struct cli *cli, struct vdk_handle *h, const struct vdk_info *info,
            const char *name)
{
  _cleanup_table_ struct table meta = {0};

  print_summary(cli, info, name);
  if (print_chain(cli, h, info->links))
    return cli_fail(cli);
  if (!cli->common.verbose)
    return STATUS_OK;
  table_add(&meta, "Metadata", "Value");
  if (vdk_meta_list(h, print_meta, &meta, &cli->err) &&
      cli->err.code != VDK_E_NO_KEY)
    return cli_fail(cli);
  if (meta.rows > 1) {
    fputc('\n', cli->report);
    table_print(&meta, "", cli->report);
  }
  return STATUS_OK;
}

static int
run(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct info_args *args = opaque;
  struct vdk_open_options open = VDK_OPEN_OPTIONS_INIT;
  struct vdk_info info = VDK_INFO_INIT;
  struct vdk_handle *h = NULL;
  int status;

  (void)count;
  open.flags = cli_open_flags(cli);
  open.format = args->format;
  open.log = &cli->log;
  if (vdk_open(operands[0], &open, &h, &cli->err) ||
      vdk_get_info(h, &info, &cli->err))
    status = cli_fail(cli);
  else if (cli->common.json)
    status = report_json(cli, h, &info, operands[0]);
  else
    status = report_text(cli, h, &info, operands[0]);
  vdk_close(h, NULL);
  return status;
}

const struct cli_verb cli_verb_info = {
    .name = "info",
    .operands = "DISK",
    .min = 1,
    .max = 1,
    .summary = "tell what a disk is, its chain and its files",
    .examples = "  vdkit info disk.vmdk\n"
                "  vdkit info 'vmbk:/backup#mail@latest/0' --json\n",
    .groups = GROUP_READ | GROUP_DISK,
    .options = options,
    .args_size = sizeof(struct info_args),
    .complete = {COMPLETE_FILE},
    .run = run,
};
