/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vdkit: the start, the verb, the exit status.
 *
 * A first SIGINT, SIGTERM or SIGHUP asks a long operation to stop, undo what
 * it has half-made and report, and lets a short one that makes something come
 * to its end; a second one ends the process at once. Verbs that only look end
 * by the signal itself.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

bool
cli_interrupted(void)
{
  return interrupted;
}

static void
on_signal(int signo)
{
  (void)signo;
  interrupted = 1;
}

static void
catch_signals(void)
{
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction old, action = {.sa_handler = on_signal,
                                  /* The second one is not asked. */
                                  .sa_flags = (int)SA_RESETHAND};

  for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
    /* What nohup or a shell's background job ignores stays ignored. */
    if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
      sigaction(signals[i], &action, NULL);
}

/* A disk must never get descriptor 0, 1 or 2 because it was closed: a message
 * would land in it. What stands in for it fails as the closed one did. */
static void
keep_standard_descriptors(void)
{
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
        _exit(STATUS_FAILED);
}

/* A disk can be thousands of files; the usual limit of 1024 is for programs
 * that call select(). */
static void
raise_descriptor_limit(void)
{
  struct rlimit limit;

  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
      limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

static void
log_message(void *opaque, int level, const char *text)
{
  const struct cli *cli = opaque;

  if (level <= VDK_LOG_WARNING) {
    cli_warn("%s", text);
  } else if ((unsigned)(level - VDK_LOG_WARNING) <= cli->common.verbose) {
    progress_hide();
    fputs("vdkit: ", stderr);
    print_escaped(stderr, text);
    fputc('\n', stderr);
    progress_unhide();
  }
}

static int
find_repository(struct cli *cli)
{
  if (!(cli->verb->groups & GROUP_REPO) || cli->common.repo)
    return 0;
  cli->common.repo = getenv("VDKIT_REPO");
  if (cli->common.repo && *cli->common.repo)
    return 0;
  return cli_usage_error(cli->verb, "no repository is named; give --repo REPO, "
                                    "or set VDKIT_REPO");
}

static int
run_verb(struct cli *cli, const void *args, char **operands, int count)
{
  int status = find_repository(cli);

  if (status)
    return status;
  cli->log = (struct vdk_log){log_message, cli};
  cli->progress = (struct vdk_progress){progress_show, NULL};
  cli->report = stdout;
  if (cli->verb->writes || cli->verb->groups & GROUP_PROGRESS)
    catch_signals();
  if (cli->verb->groups & GROUP_PROGRESS)
    progress_start(&cli->common);
  status = cli->verb->run(cli, args, operands, count);
  progress_end();
  return status;
}

static int
show_version(void)
{
  printf("vdkit %s\n", vdk_version());
  return STATUS_OK;
}

static int
start(int argc, char **argv)
{
  struct cli cli = {0};
  _cleanup_free_ void *args = NULL;
  int words = 0, status;

  status = options_parse_leading(&cli.common, &argc, &argv);
  if (status)
    return status;
  if (cli.common.version)
    return show_version();
  if (argc == 0) {
    help_all(cli.common.help ? stdout : stderr);
    return cli.common.help ? STATUS_OK : STATUS_USAGE;
  }
  cli.verb = cli_verb_find(argc, argv, &words);
  if (!cli.verb)
    return help_family(argc, argv) ? STATUS_OK : cli_unknown_verb(argc, argv);
  args = calloc(1, cli.verb->args_size + 1);
  if (!args) {
    fputs("vdkit: out of memory\n", stderr);
    return STATUS_FAILED;
  }
  /* getopt takes the verb's last word for the program's name. */
  argc -= words - 1;
  argv += words - 1;
  status = options_parse(cli.verb, &cli.common, args, &argc, &argv);
  if (status)
    return status;
  if (cli.common.version)
    return show_version();
  if (cli.common.help) {
    help_verb(cli.verb, stdout);
    return STATUS_OK;
  }
  return run_verb(&cli, args, argv, argc);
}

int
main(int argc, char **argv)
{
  keep_standard_descriptors();
  raise_descriptor_limit();
  /* Characters only: numbers are printed the same everywhere. */
  setlocale(LC_CTYPE, "");
  /* Both are errors of a write, which has something to clean up. */
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  return report_finish(start(argc, argv));
}
