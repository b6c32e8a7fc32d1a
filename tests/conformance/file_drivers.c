/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/conformance/file_drivers.h"

#include "base/checked.h"
#include "file/fault.h"
#include "file/local.h"

static int
new_local(const char *tmp, struct vdk_dir **ret, struct vdk_error *err)
{
  local_beneath_walk_only(false);
  return dir_local_open(tmp, 0, ret, err);
}

static int
new_local_walk(const char *tmp, struct vdk_dir **ret, struct vdk_error *err)
{
  local_beneath_walk_only(true);
  return dir_local_open(tmp, 0, ret, err);
}

static int
new_local_outside(const char *tmp, struct vdk_dir **ret, struct vdk_error *err)
{
  return dir_local_open(tmp, DIR_ALLOW_OUTSIDE, ret, err);
}

static int
new_memory(const char *tmp, struct vdk_dir **ret, struct vdk_error *err)
{
  return dir_memory_new("memory", ret, err);
}

static int
new_below(const char *tmp, struct vdk_dir **ret, struct vdk_error *err)
{
  _cleanup_dir_ struct vdk_dir *outer = NULL;
  int r = new_local(tmp, &outer, err);

  if (r == 0)
    r = dir_make(outer, "folder/of it", err);
  return r < 0 ? r : dir_below_new(outer, "folder/of it", ret, err);
}

static int
new_fault(const char *tmp, struct vdk_dir **ret, struct vdk_error *err)
{
  const struct fault_plan plan = {.max_io = 0};
  _cleanup_dir_ struct vdk_dir *inner = NULL;
  int r = dir_memory_new("memory", &inner, err);

  return r < 0 ? r : dir_fault_new(inner, &plan, ret, err);
}

static int
new_fault_cut(const char *tmp, struct vdk_dir **ret, struct vdk_error *err)
{
  const struct fault_plan plan = {.max_io = 777};
  _cleanup_dir_ struct vdk_dir *inner = NULL;
  int r = dir_local_open(tmp, 0, &inner, err);

  return r < 0 ? r : dir_fault_new(inner, &plan, ret, err);
}

static int
new_fault_recording(const char *tmp, struct vdk_dir **ret,
                    struct vdk_error *err)
{
  int r = new_fault(tmp, ret, err);

  return r < 0 ? r : dir_fault_record(*ret, err);
}

const struct file_driver file_drivers[] = {
    {"local", new_local, true},
    {"local-walk", new_local_walk, true},
    {"local-outside", new_local_outside, true},
    {"memory", new_memory, true},
    {"below", new_below, true},
    {"fault", new_fault, true},
    {"fault-cut", new_fault_cut, true},
    {"fault-recording", new_fault_recording, true},
};

const unsigned file_driver_count = ARRAY_SIZE(file_drivers);
