/* SPDX-License-Identifier: BSD-3-Clause */
#include "repo/verify.h"

#include "base/checked.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/sys.h"

int
verify_found(struct verify *v, const char *object, const char *text,
             uint32_t *ret, struct vdk_error *err)
{
  struct finding f = {.last_point = UINT64_MAX};

  LOCK_SCOPE(&v->mutex);
  v->stats.damaged++;
  if (ret)
    *ret = 0;
  if (v->finding_count >= VERIFY_FINDINGS_MAX)
    return 0;
  f.object = str_dup(object);
  f.text = str_dup(text);
  if (!f.object || !f.text ||
      !mem_grow(&v->findings, &v->finding_capacity, v->finding_count + 1,
                sizeof *v->findings)) {
    free(f.object);
    free(f.text);
    return error_nomem(err, "verifying a repository");
  }
  v->findings[v->finding_count++] = f;
  if (ret)
    *ret = (uint32_t)v->finding_count;
  return 0;
}

int
verify_touch(struct verify *v, uint32_t number, const char *name,
             uint64_t point, struct vdk_error *err)
{
  struct finding *f;

  if (number == 0)
    return 0;
  LOCK_SCOPE(&v->mutex);
  f = &v->findings[number - 1];
  if (f->last_point == point)
    return 0;
  f->last_point = point;
  if (f->points++ < VERIFY_NAMES_MAX)
    strbuf_printf(&f->names, "%s%s", f->points > 1 ? ", " : "", name);
  return f->names.failed ? error_nomem(err, "verifying a repository") : 0;
}

int
verify_progress(struct verify *v, uint64_t bytes, const char *item,
                struct vdk_error *err)
{
  uint64_t now = sys_monotonic_ns();
  struct vdk_progress_info info;

  LOCK_SCOPE(&v->mutex);
  v->done += bytes;
  if (!v->progress || !v->progress->fn || now < v->next_report_ns)
    return 0;
  v->next_report_ns = now + 100000000u;
  info = (struct vdk_progress_info){v->done, v->total, v->read, 0, item};
  if (v->progress->fn(v->progress->opaque, &info) != 0)
    return error_set(err, VDK_E_CANCELLED, "the verification was cancelled");
  return 0;
}

/* --- Reporting ----------------------------------------------------------- */

static int
report(const struct finding *f,
       void (*found)(void *opaque, const char *object, const char *text),
       void *opaque, struct vdk_error *err)
{
  _cleanup_strbuf_ struct strbuf text = {0};

  strbuf_append(&text, f->text);
  if (f->points == 0)
    strbuf_append(&text, "; no restore point needs what is lost");
  else
    strbuf_printf(&text, "; touches %llu restore point%s: %s%s",
                  (unsigned long long)f->points, f->points == 1 ? "" : "s",
                  f->names.text ? f->names.text : "",
                  f->points > VERIFY_NAMES_MAX ? ", ..." : "");
  if (text.failed)
    return error_nomem(err, "verifying a repository");
  found(opaque, f->object, text.text);
  return 0;
}

static int
report_all(struct verify *v,
           void (*found)(void *opaque, const char *object, const char *text),
           void *opaque, struct vdk_error *err)
{
  int r = 0;

  for (size_t i = 0; found && i < v->finding_count && r == 0; i++)
    r = report(&v->findings[i], found, opaque, err);
  return r;
}

static void
free_all(struct verify *v)
{
  for (size_t i = 0; i < v->finding_count; i++) {
    free(v->findings[i].object);
    free(v->findings[i].text);
    strbuf_free(&v->findings[i].names);
  }
  free(v->findings);
  table_clear(&v->packs);
  table_clear(&v->clean);
  table_clear(&v->verdict);
  index_free(v->index);
  pthread_mutex_destroy(&v->mutex);
}

int
repo_verify(struct repo *r, enum repo_verify_level level,
            const struct vdk_progress *progress,
            void (*found)(void *opaque, const char *object, const char *text),
            void *opaque, struct repo_verify_stats *stats,
            struct vdk_error *err)
{
  struct verify v = {.r = r, .level = level, .progress = progress};
  int ret;

  pthread_mutex_init(&v.mutex, NULL);
  ret = index_new(r->store, NULL, &v.index, err);
  if (ret == 0)
    ret = verify_objects(&v, err);
  if (ret == 0)
    ret = verify_points(&v, err);
  for (size_t i = 0; i < v.packs.count; i++)
    v.stats.unreferenced_packs += table_at(&v.packs, i)->offset == 0;
  if (ret == 0)
    ret = report_all(&v, found, opaque, err);
  v.next_report_ns = 0;
  if (ret == 0)
    ret = verify_progress(&v, 0, "done", err);
  if (stats)
    *stats = v.stats;
  if (ret == 0 && v.stats.damaged > 0)
    ret = error_set(err, VDK_E_DAMAGED, "repository %s is damaged: %llu %s",
                    r->store->name, (unsigned long long)v.stats.damaged,
                    v.stats.damaged == 1 ? "finding" : "findings");
  free_all(&v);
  return ret;
}
