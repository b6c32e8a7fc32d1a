/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run says at its end: errors and warnings on stderr, reports on
 * stdout.
 *
 * With --json there is exactly one object on stdout, whatever happens: the
 * verb's report, or a vdkit.error/1. People read stderr in both cases.
 *
 * A report that stdout did not take is a failure, also of a verb that did its
 * work (a script would miss the report), except that a reader which closed
 * the pipe ends us quietly, as it ends any filter.
 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

/* Memory ran out while a document was built: it is not printed. */
static bool document_failed;

static void
message(const char *kind, const char *text)
{
  progress_hide();
  fprintf(stderr, "vdkit: %s", kind);
  print_escaped(stderr, text);
  fputc('\n', stderr);
  progress_unhide();
}

void
cli_warn(const char *fmt, ...)
{
  va_list args;
  char text[VDK_ERROR_TEXT_SIZE + 100];

  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  message("warning: ", text);
}

void
cli_say(struct cli *cli, const char *fmt, ...)
{
  _cleanup_free_ char *safe = NULL;
  va_list args;
  char text[VDK_ERROR_TEXT_SIZE + 100];

  if (cli->common.quiet || cli->common.json)
    return;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  safe = text_escape(text);
  fprintf(cli->report, "%s\n", safe ? safe : "");
}

/* What an option of the verb could do about an error. The library cannot name
 * it, since its callers have flags, not options. */
static const struct {
  int code;
  const char *option, *text;
} hints[] = {
    {VDK_E_EXISTS, "overwrite", "replaces what exists"},
    {VDK_E_LOCKED, "no-lock",
     "reads it all the same, when you know that nobody writes to it"},
    {VDK_E_UNSAFE_PATH, "allow-outside",
     "follows such names, and --allow-devices opens devices: for disks that "
     "you trust"},
    {VDK_E_CORRUPT, "salvage", "reads what can be read"},
    {VDK_E_TRUNCATED, "salvage", "reads what can be read"},
    {VDK_E_LOST_RANGES, "on-lost", "compare reads everything instead"},
};

static void
print_hint(const struct cli *cli)
{
  /* The options are about reading, but for the first. */
  if (cli->err.side == VDK_SIDE_TARGET && cli->err.code != VDK_E_EXISTS)
    return;
  for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
    if (hints[i].code == cli->err.code &&
        cli_has_option(cli->verb, hints[i].option))
      fprintf(stderr, "vdkit: --%s %s\n", hints[i].option, hints[i].text);
}

int
cli_fail(struct cli *cli)
{
  int status = vdk_error_exit_status(&cli->err);
  const char *text = vdk_error_message(&cli->err);
  json_t *document;

  progress_end();
  if (cli_interrupted())
    status = STATUS_INTERRUPTED;
  if (status == STATUS_INTERRUPTED)
    text = "interrupted; nothing half-made is left behind";
  message("", text);
  if (status != STATUS_INTERRUPTED)
    print_hint(cli);
  if (!cli->common.json)
    return status;
  document = cli_document("vdkit.error/1");
  json_put_text(document, "verb", cli->verb->name);
  json_put_text(document, "error", vdk_error_name(cli->err.code));
  json_put(document, "errno", json_integer(cli->err.os_errno));
  json_put_text(document, "message", text);
  json_put(document, "exit_status", json_integer(status));
  return cli_report(cli, document, status);
}

/* --- JSON ----------------------------------------------------------------- */

json_t *
cli_document(const char *schema)
{
  json_t *document = json_object();

  document_failed = !document;
  json_put_text(document, "schema", schema);
  return document;
}

int
cli_report(struct cli *cli, json_t *document, int status)
{
  if (document_failed || json_dumpf(document, cli->report, JSON_INDENT(2))) {
    if (!ferror(cli->report)) {
      message("", "out of memory while printing the report");
      status = STATUS_FAILED;
    }
  } else {
    fputc('\n', cli->report);
  }
  json_decref(document);
  return status;
}

void
json_put(json_t *object, const char *key, json_t *value)
{
  if (!value || json_object_set_new(object, key, value))
    document_failed = true;
}

void
json_add(json_t *array, json_t *value)
{
  if (!value || json_array_append_new(array, value))
    document_failed = true;
}

json_t *
json_text(const char *text)
{
  json_t *value = text ? json_string(text) : json_null();

  if (!value) {
    /* Not UTF-8: escaped, as people see it. */
    _cleanup_free_ char *safe = text_escape(text);

    value = safe ? json_string(safe) : NULL;
  }
  if (!value)
    document_failed = true;
  return value;
}

void
json_put_text(json_t *object, const char *key, const char *text)
{
  json_put(object, key, json_text(text));
}

void
json_put_u64(json_t *object, const char *key, uint64_t value)
{
  json_put(object, key, json_integer((json_int_t)value));
}

void
json_put_bool(json_t *object, const char *key, bool value)
{
  json_put(object, key, json_boolean(value));
}

void
json_put_time(json_t *object, const char *key, int64_t us)
{
  time_t t = (time_t)(us / 1000000);
  char text[TIME_TEXT];
  struct tm tm;

  if (us == 0 || !gmtime_r(&t, &tm) ||
      strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    json_put(object, key, json_null());
  else
    json_put_text(object, key, text);
}

/* --- The end of stdout ---------------------------------------------------- */

int
report_finish(int status)
{
  bool had_error = ferror(stdout);
  int os_errno;

  errno = 0;
  if (fflush(stdout) == 0 && !had_error)
    return status;
  os_errno = errno;
  if (os_errno == 0)
    os_errno = EIO; /* an earlier write failed, and its errno is gone */
  if (os_errno == EPIPE) {
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
  }
  fprintf(stderr, "vdkit: cannot write to standard output: %s\n",
          strerror(os_errno));
  return status ? status : STATUS_TARGET_IO;
}
