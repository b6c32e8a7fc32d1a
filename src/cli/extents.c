/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of extents, for map and diff: rows for people, or the two members
 * "extents" and "totals" of a JSON object.
 *
 * A list can have millions of rows, so that it is printed as it is walked, the
 * JSON by hand: these are the reports that are never in memory.
 */
#include "cli/cli.h"

/* By enum vdk_extent_state. */
static const char *const state_names[EXTENT_STATES] = {"data", "zero",
                                                       "absent"};

void
extents_begin(struct extents *x)
{
  FILE *f = x->cli->report;

  if (x->cli->common.json)
    fprintf(f, "%s\"extents\": [", x->indent);
  else
    fprintf(f, "%16s  %16s  %s\n", "Offset", "Length", "State");
}

int
extents_print(void *opaque, const struct vdk_extent *e)
{
  struct extents *x = opaque;
  FILE *f = x->cli->report;
  int state = e->state >= 0 && e->state < EXTENT_STATES ? e->state : 0;

  if (x->cli->common.json)
    fprintf(f,
            "%s\n%s  {\"offset\": %llu, \"length\": %llu, \"state\": \"%s\"}",
            x->total ? "," : "", x->indent, (unsigned long long)e->offset,
            (unsigned long long)e->length, state_names[state]);
  else
    fprintf(f, "%16llu  %16llu  %s\n", (unsigned long long)e->offset,
            (unsigned long long)e->length, state_names[state]);
  x->bytes[state] += e->length;
  x->count[state]++;
  x->total++;
  /* Nobody reads on: the walk need not go on. */
  return ferror(f) ? -VDK_E_CANCELLED : 0;
}

static void
end_json(const struct extents *x)
{
  FILE *f = x->cli->report;

  fprintf(f, "%s%s],\n%s\"totals\": {", x->total ? "\n" : "",
          x->total ? x->indent : "", x->indent);
  for (int i = 0; i < EXTENT_STATES; i++)
    fprintf(f, "%s\"%s\": %llu", i ? ", " : "", state_names[i],
            (unsigned long long)x->bytes[i]);
  fputc('}', f);
}

void
extents_end(const struct extents *x)
{
  FILE *f = x->cli->report;
  char size[SIZE_TEXT];
  bool first = true;

  if (x->cli->common.json) {
    end_json(x);
    return;
  }
  if (x->cli->common.quiet)
    return;
  for (int i = 0; i < EXTENT_STATES; i++)
    if (x->count[i]) {
      fprintf(f, "%s%s %s in %llu extent%s", first ? "" : ", ",
              text_size(x->bytes[i], size), state_names[i],
              (unsigned long long)x->count[i], x->count[i] == 1 ? "" : "s");
      first = false;
    }
  fputs(first ? "nothing\n" : "\n", f);
}

void
extents_put_text(struct cli *cli, const char *key, const char *text)
{
  json_t *value = json_text(text);
  char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

  fprintf(cli->report, "\"%s\": %s", key, quoted ? quoted : "null");
  free(quoted);
  json_decref(value);
}

int
extents_fail(struct cli *cli)
{
  struct cli text = *cli;

  if (ferror(cli->report))
    return STATUS_FAILED; /* report_finish says why */
  /* The JSON object has been begun, and ended with "complete": false. */
  text.common.json = false;
  return cli_fail(&text);
}
