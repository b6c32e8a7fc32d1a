/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vdkit command, inside.
 *
 *   main.c      start: descriptors, signals, the verb, the exit status
 *   verbs.c     the table of verbs
 *   options.c   option tables to values; what is wrong with an option
 *   help.c      help and usage, from the same tables
 *   suggest.c   did you mean
 *   complete.c  the bash completion, from the same tables
 *   print.c     text for people: escaping, sizes, times, aligned tables
 *   report.c    errors, warnings, JSON reports, what stdout could not take
 *   extents.c   lists of extents, printed as they are walked
 *   progress.c  the bar, the lines, or the JSON of a long operation
 *   verb_*.c    one verb each
 *
 * A verb is one row: its words, operands, options and function. The parser,
 * --help, the completion and the test of the man pages all read the rows, so
 * that they cannot disagree. The command uses the public headers only.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>
#include <vdkit/vdkit.h>

/* Exit statuses that no vdk_error stands for; docs/guide/exit-status.md. */
enum cli_status {
  STATUS_OK = 0,
  STATUS_FAILED = 1,
  STATUS_USAGE = 2,
  STATUS_WARNINGS = 3,
  STATUS_RANGES_LOST = 4,
  STATUS_DIFFERENT = 6,
  STATUS_DAMAGED = 20,
  STATUS_TARGET_IO = 40,
  STATUS_INTERRUPTED = 130,
};

/* --- Options -------------------------------------------------------------- */

enum cli_kind {
  CLI_FLAG,   /* bool: true */
  CLI_COUNT,  /* unsigned: one more each time */
  CLI_SET,    /* int: becomes VALUE; another value for it is refused */
  CLI_TEXT,   /* const char * */
  CLI_SIZE,   /* uint64_t: 10G */
  CLI_NUMBER, /* int in MIN .. VALUE */
  CLI_CHOICE, /* int: index in CHOICES */
  CLI_WORD,   /* const char *: any text, CHOICES are known ones, for
                 completion and suggestions only */
};

/* How the shell completes an operand or an option's value. */
enum cli_complete {
  COMPLETE_NOTHING,
  COMPLETE_FILE,
  COMPLETE_DIR,
  COMPLETE_POINT, /* a restore point of --repo */
  COMPLETE_VERB,
};

struct cli_option {
  const char *name; /* NULL ends a table */
  char letter;      /* 0: none */
  const char *arg;  /* its value in help: "SIZE"; NULL: takes none */
  enum cli_kind kind;
  size_t offset; /* of its value in the structure of the table */
  const char *help;
  int value, min;
  const char *const *choices;        /* NULL-ended */
  const char *const *(*words)(void); /* the same, made at run time */
  enum cli_complete complete;
};

/* Options that several verbs share; a verb names its groups. */
enum cli_group {
  GROUP_COMMON = 1 << 0, /* every verb has it: --json, --quiet, --help ... */
  GROUP_PROGRESS = 1 << 1,
  GROUP_DISK = 1 << 2,
  GROUP_REPO = 1 << 3,
  GROUP_READ = 1 << 4,
};
#define GROUP_COUNT 5

/* What the groups' options set. */
struct cli_common {
  bool help, version, json, quiet;
  unsigned verbose;
  int progress; /* enum progress_how */
  bool allow_outside, allow_devices, salvage, no_lock;
  const char *repo;
};

struct cli_option_group {
  unsigned group;
  const char *title;
  const struct cli_option *options; /* offsets in struct cli_common */
};
extern const struct cli_option_group cli_option_groups[GROUP_COUNT];

/* --- Verbs ---------------------------------------------------------------- */

struct cli;

struct cli_verb {
  const char *name;     /* "convert", "vm list"; NULL ends the table */
  const char *operands; /* "SOURCE TARGET" */
  int min, max;         /* of operands */
  const char *summary;  /* one line, for the list of verbs */
  const char *about;    /* more, for its own help; NULL: the summary */
  const char *examples; /* lines; NULL: none */
  unsigned groups;      /* enum cli_group, besides COMMON */
  const struct cli_option *options; /* its own; may be NULL */
  size_t args_size;                 /* of the structure they set */
  enum cli_complete complete[2];    /* first operand, all others */
  bool hidden;
  bool writes; /* makes something, without progress */
  /* Returns the exit status. OPERANDS is NULL-ended. */
  int (*run)(struct cli *cli, const void *args, char **operands, int count);
};

extern const struct cli_verb *const cli_verbs[]; /* NULL-ended */

extern const struct cli_verb cli_verb_info, cli_verb_map, cli_verb_create,
    cli_verb_convert, cli_verb_compare, cli_verb_vm_list, cli_verb_vm_show,
    cli_verb_init, cli_verb_backup, cli_verb_list, cli_verb_restore,
    cli_verb_diff, cli_verb_verify, cli_verb_help, cli_verb_completion,
    cli_verb_points;

/* The verb that ARGV starts with; *RET_WORDS says how many words it has. */
const struct cli_verb *cli_verb_find(int argc, char **argv, int *ret_words);
/* True when a verb of two words starts with WORD. */
bool cli_verb_is_family(const char *word);
/* "vdkit-vm-list", the name of its man page. */
void cli_verb_page(const struct cli_verb *v, char *buf, size_t size);

/* Prints what is wrong with an unknown word, and what was meant. */
int cli_unknown_verb(int argc, char **argv);

/* Reads options and operands of VERB. Returns 0 and shifts *ARGV to the
 * operands, or prints what is wrong and returns an exit status. */
int options_parse(const struct cli_verb *verb, struct cli_common *common,
                  void *args, int *argc, char ***argv);
/* Those that stand before the verb: common ones only. */
int options_parse_leading(struct cli_common *common, int *argc, char ***argv);
/* True when VERB, or one of its groups, has the option. */
bool cli_has_option(const struct cli_verb *verb, const char *name);
/* "10G", "1.5TiB", "512": bytes. */
bool options_size(const char *text, uint64_t *ret);
/* Prints "vdkit VERB: MESSAGE" and where help is found; STATUS_USAGE. */
int cli_usage_error(const struct cli_verb *verb, const char *fmt, ...)
    VDK_PRINTF(2, 3);

void help_all(FILE *f);
/* Prints help when ARGV is a family ("vm") and asks for it. */
bool help_family(int argc, char **argv);
void help_verb(const struct cli_verb *v, FILE *f);
void help_usage_line(const struct cli_verb *v, FILE *f);

/* The word of NULL-ended WORDS that WORD was probably meant to be; NULL when
 * none is near. */
const char *suggest(const char *word, const char *const *words);

/* --- One run -------------------------------------------------------------- */

struct cli {
  const struct cli_verb *verb;
  struct cli_common common;
  struct vdk_error err;
  struct vdk_log log;
  struct vdk_progress progress; /* shows and cancels */
  FILE *report; /* stdout, or stderr when stdout carries a disk */
};

/* enum vdk_open_flags that the options of the groups ask for. */
unsigned cli_open_flags(const struct cli *cli);
extern const char *const cli_formats[]; /* choices of --format */
/* 0 when TYPE is NULL or one that can be made, else a usage error. */
int cli_check_type(const struct cli *cli, const char *type);

/* True once SIGINT, SIGTERM or SIGHUP came. */
bool cli_interrupted(void);

/* Prints cli->err, also as JSON with --json; returns its exit status. */
int cli_fail(struct cli *cli);
/* "vdkit: warning: ...", also with --quiet. */
void cli_warn(const char *fmt, ...) VDK_PRINTF(1, 2);
/* A line for people on stdout; nothing with --json or --quiet. */
void cli_say(struct cli *cli, const char *fmt, ...) VDK_PRINTF(2, 3);
/* A new report: an object with its "schema" first. Memory that runs out here
 * and in json_put_* is told by cli_report. */
json_t *cli_document(const char *schema);
/* Prints and frees DOCUMENT. Returns STATUS, or an error's. */
int cli_report(struct cli *cli, json_t *document, int status);
/* Appends a value; NULL text becomes null, invalid UTF-8 is escaped. */
void json_put_text(json_t *object, const char *key, const char *text);
void json_put_u64(json_t *object, const char *key, uint64_t value);
void json_put_bool(json_t *object, const char *key, bool value);
void json_put(json_t *object, const char *key, json_t *value); /* stolen */
/* Microseconds since 1970 as ISO 8601 in UTC; null for 0. */
void json_put_time(json_t *object, const char *key, int64_t us);
json_t *json_text(const char *text);
void json_add(json_t *array, json_t *value); /* stolen */

/* Flushes stdout. When that cannot take what was printed, STATUS becomes an
 * error, or the process ends by SIGPIPE as filters do. */
int report_finish(int status);

/* --- Printing ------------------------------------------------------------- */

/* TEXT without control characters and invalid bytes: \n, \x1b. */
void print_escaped(FILE *f, const char *text);
/* The same into new memory (NULL: none). */
char *text_escape(const char *text);
/* Columns that TEXT takes on a terminal. */
size_t text_width(const char *text);
char *text_printf(const char *fmt, ...) VDK_PRINTF(1, 2);

#define SIZE_TEXT 24
/* "1.5 GiB" */
const char *text_size(uint64_t bytes, char buf[SIZE_TEXT]);
/* "512 B", "1.5 GiB (1610612736 bytes)" */
char *text_size_exact(uint64_t bytes);
#define TIME_TEXT 40
/* "2026-11-21 22:34:55" in local time; "-" for 0. */
const char *text_time(int64_t us, char buf[TIME_TEXT]);
/* "0:12", "1:02:03" */
const char *text_duration(double seconds, char buf[TIME_TEXT]);
/* What something took: "0.25 s", from a minute on as text_duration. */
const char *text_elapsed(double seconds, char buf[TIME_TEXT]);
/* "2026-11-21T22:34:55Z" to microseconds since 1970; 0 when it is none. */
int64_t time_parse(const char *iso);

#define TABLE_COLUMNS 8
/* An aligned table. The first row is the heading; a column whose heading
 * starts with '>' stands to the right. Cells are copied and escaped. */
struct table {
  char **cells;
  size_t rows, capacity;
  unsigned columns;
  bool failed;
};
void table_row(struct table *t, const char *const *cells, unsigned count);
#define table_add(t, ...)                                                      \
  table_row((t), (const char *const[]){__VA_ARGS__},                           \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
void table_print(const struct table *t, const char *indent, FILE *f);
void table_free(struct table *t);
/* "Name:   value" lines: a table of two columns without heading. */
void table_print_fields(const struct table *t, FILE *f);

/* --- Lists of extents ----------------------------------------------------- */

#define EXTENT_STATES 3

struct extents {
  struct cli *cli;
  const char *indent; /* of the JSON members */
  uint64_t bytes[EXTENT_STATES], count[EXTENT_STATES], total;
};
void extents_begin(struct extents *x);
/* What vdk_extents and its like want; OPAQUE is a struct extents. */
int extents_print(void *opaque, const struct vdk_extent *e);
void extents_end(const struct extents *x);
/* "key": "text" in a JSON object that is written by hand. */
void extents_put_text(struct cli *cli, const char *key, const char *text);
/* As cli_fail, after the object was begun. */
int extents_fail(struct cli *cli);

/* --- Progress ------------------------------------------------------------- */

enum progress_how {
  PROGRESS_AUTO,
  PROGRESS_BAR,
  PROGRESS_LINES,
  PROGRESS_JSON,
  PROGRESS_NONE,
};
extern const char *const progress_choices[];

/* What struct vdk_progress wants; also returns 1 once interrupted. */
int progress_show(void *opaque, const struct vdk_progress_info *info);
void progress_start(const struct cli_common *common);
/* Takes the bar off the screen. */
void progress_end(void);
/* Around a message, so that it does not run into the bar. */
void progress_hide(void);
void progress_unhide(void);

/* --- Cleanup by scope ----------------------------------------------------- */

#define _cleanup_(f) __attribute__((cleanup(f)))
static inline void
cli_freep(void *p)
{
  free(*(void **)p);
}
#define _cleanup_free_  _cleanup_(cli_freep)
#define _cleanup_table_ _cleanup_(table_free)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
