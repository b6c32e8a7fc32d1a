/* SPDX-License-Identifier: BSD-3-Clause */
/* vdkit create: a new empty disk, or a snapshot link over another. */
#include "cli/cli.h"

struct create_args {
  uint64_t capacity, grain_size, extent_size;
  const char *type, *parent, *adapter;
  int hw_version;
  bool preallocate;
};
#define ARG(field) offsetof(struct create_args, field)

static const char *const adapters[] = {"lsilogic", "buslogic", "ide", NULL};

static const struct cli_option options[] = {
    {"size", 's', "SIZE", CLI_SIZE, ARG(capacity),
     "how large the disk is: 512M, 10G, 1.5T; with --parent as large as that"},
    {"type", 't', "TYPE", CLI_WORD, ARG(type),
     "raw or a createType, as 'vdkit help types' lists them (default: by the "
     "suffix of PATH)",
     .words = vdk_type_names},
    {"parent", 0, "DISK", CLI_TEXT, ARG(parent),
     "make a child of this disk, which must not change from then on",
     .complete = COMPLETE_FILE},
    {"preallocate", 0, NULL, CLI_FLAG, ARG(preallocate),
     "reserve all space of a flat disk now"},
    {"grain-size", 0, "SIZE", CLI_SIZE, ARG(grain_size),
     "unit of allocation of a sparse disk, a power of two (64K)"},
    {"extent-size", 0, "SIZE", CLI_SIZE, ARG(extent_size),
     "size of each file of a split disk (2G)"},
    {"adapter", 0, "ADAPTER", CLI_WORD, ARG(adapter),
     "lsilogic, buslogic or ide: what the disk says it is made for",
     .choices = adapters},
    {"hw-version", 0, "N", CLI_NUMBER, ARG(hw_version),
     "virtual hardware version that the disk names", .min = 3, .value = 99},
    {0},
};

/* What was made, as the disk itself says it. */
static int
report(struct cli *cli, const char *path)
{
  struct vdk_open_options open = VDK_OPEN_OPTIONS_INIT;
  struct vdk_info info = VDK_INFO_INIT;
  struct vdk_handle *h = NULL;
  char size[SIZE_TEXT];
  int status = STATUS_OK;

  open.flags = cli_open_flags(cli);
  open.log = &cli->log;
  if (vdk_open(path, &open, &h, &cli->err) ||
      vdk_get_info(h, &info, &cli->err)) {
    vdk_close(h, NULL);
    return cli_fail(cli);
  }
  if (cli->common.json) {
    json_t *document = cli_document("vdkit.create/1");

    json_put_text(document, "disk", path);
    json_put_text(document, "format", info.format);
    json_put_text(document, "type", info.type);
    json_put_u64(document, "capacity", info.capacity);
    json_put_u64(document, "allocated", info.allocated);
    json_put_u64(document, "links", info.links);
    status = cli_report(cli, document, STATUS_OK);
  } else {
    cli_say(cli, "%s: %s of %s", path, *info.type ? info.type : info.format,
            text_size(info.capacity, size));
  }
  vdk_close(h, NULL);
  return status;
}

static int
run(struct cli *cli, const void *opaque, char **operands, int count)
{
  const struct create_args *args = opaque;
  struct vdk_create_options create = VDK_CREATE_OPTIONS_INIT;
  int status;

  (void)count;
  if (!args->capacity && !args->parent)
    return cli_usage_error(cli->verb, "how large? Give --size, or --parent");
  status = cli_check_type(cli, args->type);
  if (status)
    return status;
  create.capacity = args->capacity;
  create.type = args->type;
  create.grain_size = args->grain_size;
  create.extent_size = args->extent_size;
  create.adapter = args->adapter;
  create.hw_version = (unsigned)args->hw_version;
  create.preallocate = args->preallocate;
  create.parent = args->parent;
  create.parent_flags = cli_open_flags(cli);
  if (!args->type && !args->parent && !vdk_type_by_suffix(operands[0]))
    return cli_usage_error(cli->verb,
                           "the suffix of '%s' does not say which type to "
                           "make; give --type",
                           operands[0]);
  if (vdk_create(operands[0], &create, &cli->err))
    return cli_fail(cli);
  return report(cli, operands[0]);
}

const struct cli_verb cli_verb_create = {
    .name = "create",
    .operands = "PATH",
    .min = 1,
    .max = 1,
    .summary = "make an empty disk, or a child of another",
    .examples = "  vdkit create disk.vmdk --size 10G --type monolithicSparse\n"
                "  vdkit create disk-000001.vmdk --parent disk.vmdk\n",
    .groups = GROUP_DISK,
    .options = options,
    .writes = true,
    .args_size = sizeof(struct create_args),
    .complete = {COMPLETE_FILE},
    .run = run,
};
