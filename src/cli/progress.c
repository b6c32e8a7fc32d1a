/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Progress on stderr: a bar that is redrawn in place on a terminal, a line
 * now and then in a log, or JSON lines for a program.
 *
 * The library calls progress_show() from one thread at a time, but messages
 * may come from others, so that all that is drawn is under one mutex: a
 * message takes the bar away, prints, and puts it back (progress_hide,
 * progress_unhide). The bar fits the width of the terminal at each drawing
 * and is gone when the operation ends; what remains is the verb's report.
 *
 * The rate is that of the last seconds, not of the whole: what counts is when
 * it will be done from here.
 */
#include "cli/cli.h"

#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

const char *const progress_choices[] = {"auto", "bar",  "lines",
                                        "json", "none", NULL};

#define SAMPLES       32
#define RATE_WINDOW   5.0 /* seconds */
#define LINE_INTERVAL 5.0
#define JSON_INTERVAL 1.0
#define BAR_MAX       40
#define BAR_MIN       8
#define LINE_MAX      512

struct sample {
  double time;
  uint64_t done;
};

static struct {
  pthread_mutex_t mutex;
  enum progress_how how;
  bool drawn;          /* the bar is on the screen */
  char line[LINE_MAX]; /* its text */
  double start, last, interval;
  struct sample samples[SAMPLES]; /* a ring */
  unsigned sample_count;
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .how = PROGRESS_NONE};

static double
now(void)
{
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool
terminal_obeys(void)
{
  const char *term = getenv("TERM");

  return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static int
terminal_width(void)
{
  struct winsize w;

  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
    return w.ws_col;
  return 80;
}

void
progress_start(const struct cli_common *common)
{
  const char *interval = getenv("VDKIT_PROGRESS_INTERVAL");

  state.how = (enum progress_how)common->progress;
  if (state.how == PROGRESS_AUTO)
    state.how = common->quiet      ? PROGRESS_NONE
                : terminal_obeys() ? PROGRESS_BAR
                                   : PROGRESS_LINES;
  state.start = now();
  state.last = state.start;
  state.sample_count = 0;
  state.interval = state.how == PROGRESS_JSON ? JSON_INTERVAL : LINE_INTERVAL;
  if (interval && *interval)
    state.interval = strtod(interval, NULL);
}

static void
erase(void)
{
  if (state.drawn)
    fputs("\r\033[K", stderr);
  state.drawn = false;
}

void
progress_hide(void)
{
  pthread_mutex_lock(&state.mutex);
  erase();
}

void
progress_unhide(void)
{
  if (state.how == PROGRESS_BAR && state.line[0]) {
    fputs(state.line, stderr);
    state.drawn = true;
  }
  fflush(stderr);
  pthread_mutex_unlock(&state.mutex);
}

void
progress_end(void)
{
  pthread_mutex_lock(&state.mutex);
  erase();
  state.line[0] = 0;
  state.how = PROGRESS_NONE;
  fflush(stderr);
  pthread_mutex_unlock(&state.mutex);
}

/* Bytes a second over the last seconds; 0 when not known yet. */
static double
rate(double time, uint64_t done)
{
  const struct sample *last, *from;
  unsigned oldest;

  last = &state.samples[(state.sample_count + SAMPLES - 1) % SAMPLES];
  if (state.sample_count && done < last->done)
    state.sample_count = 0; /* the next disk */
  if (state.sample_count == 0 || time - last->time >= RATE_WINDOW / SAMPLES)
    state.samples[state.sample_count++ % SAMPLES] = (struct sample){time, done};
  oldest = state.sample_count > SAMPLES ? state.sample_count - SAMPLES : 0;
  while (oldest + 1 < state.sample_count &&
         time - state.samples[oldest % SAMPLES].time > RATE_WINDOW)
    oldest++;
  from = &state.samples[oldest % SAMPLES];
  if (time - from->time < 0.2)
    return 0;
  return (double)(done - from->done) / (time - from->time);
}

/* "45%  1.2 GiB of 3.0 GiB  450.0 MiB/s  0:12 left" */
static void
numbers(char *buf, size_t size, const struct vdk_progress_info *info,
        double time)
{
  char done[SIZE_TEXT], total[SIZE_TEXT], speed[SIZE_TEXT], left[TIME_TEXT];
  double per_second = rate(time, info->done);
  int used = 0;

  text_size(info->done, done);
  if (info->total)
    used = snprintf(buf, size, "%3.0f%%  %s of %s",
                    100.0 * (double)info->done / (double)info->total, done,
                    text_size(info->total, total));
  else
    used = snprintf(buf, size, "%s", done);
  if (per_second > 0)
    used += snprintf(buf + used, size - (size_t)used, "  %s/s",
                     text_size((uint64_t)per_second, speed));
  if (per_second > 0 && info->total > info->done)
    snprintf(
        buf + used, size - (size_t)used, "  %s left",
        text_duration((double)(info->total - info->done) / per_second, left));
}

/* The last part of a name says more than its folder. */
static char *
item_text(const char *item)
{
  const char *slash = strrchr(item, '/');

  return text_escape(slash && slash[1] ? slash + 1 : item);
}

static void
draw_bar(const struct vdk_progress_info *info, double time)
{
  _cleanup_free_ char *item = item_text(info->item);
  char text[160], bar[BAR_MAX + 4] = "";
  int room, len;

  numbers(text, sizeof text, info, time);
  room = terminal_width() - 1 - (int)strlen(text);
  if (room < 0) {
    text[strlen(text) + (size_t)room] = 0; /* a very narrow terminal */
    room = 0;
  }
  len = room - 4 - (item ? (int)text_width(item) : 0) - 2;
  if (info->total && len >= BAR_MIN) {
    int full;

    len = len > BAR_MAX ? BAR_MAX : len;
    full = (int)((double)len * (double)info->done / (double)info->total);
    bar[0] = '[';
    memset(bar + 1, '-', (size_t)len);
    memset(bar + 1, '#', (size_t)(full > len ? len : full));
    strcpy(bar + 1 + len, "] ");
  }
  if (item && (int)text_width(item) + 2 + (int)strlen(bar) <= room)
    snprintf(state.line, sizeof state.line, "%s  %s%s", item, bar, text);
  else
    snprintf(state.line, sizeof state.line, "%s%s", bar, text);
  fprintf(stderr, "\r%s\033[K", state.line);
  fflush(stderr);
  state.drawn = true;
}

static void
print_line(const struct vdk_progress_info *info, double time)
{
  _cleanup_free_ char *item = item_text(info->item);
  char text[160];

  numbers(text, sizeof text, info, time);
  fprintf(stderr, "%s: %s\n", item ? item : "", text);
  fflush(stderr);
}

static void
print_json(const struct vdk_progress_info *info, double time)
{
  json_t *object = cli_document("vdkit.progress/1");

  json_put_text(object, "item", info->item);
  json_put_u64(object, "done", info->done);
  json_put(object, "total",
           info->total ? json_integer((json_int_t)info->total) : json_null());
  json_put_u64(object, "read", info->read);
  json_put_u64(object, "written", info->written);
  json_put(object, "seconds", json_real(time - state.start));
  json_dumpf(object, stderr, JSON_COMPACT | JSON_REAL_PRECISION(6));
  fputc('\n', stderr);
  fflush(stderr);
  json_decref(object);
}

int
progress_show(void *opaque, const struct vdk_progress_info *info)
{
  double time = now();

  (void)opaque;
  pthread_mutex_lock(&state.mutex);
  if (state.how == PROGRESS_BAR) {
    draw_bar(info, time);
  } else if (state.how != PROGRESS_NONE &&
             time - state.last >= state.interval) {
    state.last = time;
    if (state.how == PROGRESS_JSON)
      print_json(info, time);
    else
      print_line(info, time);
  }
  pthread_mutex_unlock(&state.mutex);
  return cli_interrupted();
}
