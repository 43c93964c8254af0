/* Boxes by hand: box check | run [options] -- command.. | loop [options] -- command.. Its output is JSON, for tests. */
#include "box.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static struct {
  int clients, plain, quiet;
  long commands;
  double seconds;
  const char *kill_after;
  char *environment[64];
  int variables;
  struct box_spec spec;
  struct box_config config;
} options;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_report(const struct box_report *r) {
  printf("{\"name\":\"%s\",\"code\":%u,\"cgroups\":%u,\"landlock\":%u,\"asRoot\":%u,\"text\":\"%s\",\"advice\":\"%s\"}\n", r->name, r->code,
         r->cgroups, r->landlock, r->as_root, r->text, r->advice);
  fflush(stdout);
}

static struct box_pool *open_pool(void) {
  struct box_report report;
  struct box_pool *pool = box_pool_open(&options.config, &report);
  if (pool) return pool;
  print_report(&report);
  exit(3);
}

static int next_event(struct box_pool *pool, struct box_event *event, int wait_ms) {
  for (;;) {
    int got = box_pool_next(pool, event);
    if (got) return got;
    struct pollfd line = {.fd = box_pool_fd(pool), .events = POLLIN};
    if (poll(&line, 1, wait_ms) == 0) return 0;
  }
}

static int run(void) {
  struct box_pool *pool = open_pool();
  struct box_event event;
  int box = box_take(pool), signalled = 0, code = 125;
  double deadline = options.kill_after ? now() + atof(options.kill_after) : 0;
  int error = box_execute(pool, box, &options.spec);
  if (error) fprintf(stderr, "{\"executeError\":%d}\n", error);
  while (!error) {
    int wait_ms = deadline && !signalled ? (int)((deadline - now()) * 1000) : -1;
    int got = next_event(pool, &event, deadline && !signalled && wait_ms < 0 ? 0 : wait_ms);
    if (got < 0) return 125;
    if (got == 0) {
      box_kill(pool, box, SIGKILL);
      signalled = 1;
      continue;
    }
    if (event.kind != BOX_EXITED) continue;
    if (!options.quiet)
      fprintf(stderr, "{\"exitCode\":%u,\"signal\":%u,\"lost\":%u,\"outOfMemory\":%u,\"startError\":%u,\"maxRssKib\":%llu}\n", event.exit_code,
              event.signal, event.lost, event.out_of_memory, event.start_error, (unsigned long long)event.max_rss_kib);
    code = event.signal ? 128 + (int)event.signal : (int)event.exit_code;
    break;
  }
  box_pool_close(pool);
  return code;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double *times;
static long measured, wrong;

static void measure(double took) {
  if (measured % 65536 == 0) times = realloc(times, (size_t)(measured + 65536) * sizeof *times);
  times[measured++] = took;
}

/* A closed loop: so many clients, each with one command at a time. */
static void loop_boxes(struct box_pool *pool) {
  static double since[BOX_MAX_SLOTS];
  double end = now() + options.seconds, *asked = calloc((size_t)options.clients, sizeof *asked);
  long started = 0, running = 0;
  int waiting = 0, first = 0; /* a ring of clients that wait for a box */
  for (; waiting < options.clients; waiting++) asked[waiting] = now();
  while (running || (waiting && now() < end && (!options.commands || started < options.commands))) {
    int box;
    while (waiting && now() < end && (!options.commands || started < options.commands) && (box = box_take(pool)) >= 0) {
      since[box] = asked[first];
      first = (first + 1) % options.clients;
      waiting--;
      if (box_execute(pool, box, &options.spec)) wrong++;
      else running++;
      started++;
    }
    struct box_event event;
    int got = next_event(pool, &event, 1000);
    if (got < 0) {
      wrong++;
      return;
    }
    if (!got || event.kind != BOX_EXITED) continue;
    running--;
    if (event.exit_code || event.signal) wrong++;
    measure(now() - since[event.box]);
    asked[(first + waiting++) % options.clients] = now();
  }
}

/* The same commands with no walls: vfork and exec, as the fastest launcher could. */
static void loop_plain(void) {
  double end = now() + options.seconds;
  static struct { pid_t pid; double since; } running[BOX_MAX_SLOTS];
  int count = 0;
  for (;;) {
    while (count < options.clients && now() < end) {
      double since = now();
      pid_t pid = vfork();
      if (pid == 0) {
        execv(options.spec.argv[0], options.spec.argv);
        _exit(127);
      }
      running[count].pid = pid;
      running[count++].since = since;
    }
    if (!count) return;
    int status;
    pid_t pid = wait(&status);
    for (int i = 0; i < count; i++)
      if (running[i].pid == pid) {
        if (status) wrong++;
        measure(now() - running[i].since);
        running[i] = running[--count];
        break;
      }
  }
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static int loop(void) {
  struct box_pool *pool = options.plain ? NULL : open_pool();
  for (double until = now() + 5; pool && box_pool_ready(pool) < options.config.ready && now() < until;) {
    struct box_event event;
    next_event(pool, &event, 100);
  }
  double begin = now();
  if (pool) loop_boxes(pool);
  else loop_plain();
  double took = now() - begin;
  qsort(times, (size_t)measured, sizeof *times, by_value);
  if (pool) box_pool_close(pool);
  struct rusage mine, others; /* all processes of a pool have been waited for by now */
  getrusage(RUSAGE_SELF, &mine);
  getrusage(RUSAGE_CHILDREN, &others);
  double cpu = seconds(mine.ru_utime) + seconds(mine.ru_stime) + seconds(others.ru_utime) + seconds(others.ru_stime);
  printf("{\"commands\":%ld,\"wrong\":%ld,\"perSecond\":%.1f,\"cpuUs\":%.1f,\"p50Ms\":%.3f,\"p99Ms\":%.3f}\n", measured, wrong,
         (double)measured / took, measured ? cpu * 1e6 / (double)measured : 0, measured ? times[measured / 2] * 1e3 : 0, measured ? times[measured * 99 / 100] * 1e3 : 0);
  return wrong ? 1 : 0;
}

static const char *value(int argc, char **argv, int *i) {
  if (++*i < argc) return argv[*i];
  fprintf(stderr, "%s needs a value\n", argv[*i - 1]);
  exit(2);
}

int main(int argc, char **argv) {
  box_maker_main(argc, argv);
  options.config = box_defaults();
  options.config.ready = 1;
  options.clients = 1;
  options.seconds = 1;
  options.spec = (struct box_spec){.stdin_fd = 0, .stdout_fd = 1, .stderr_fd = 2};
  static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", home[] = "HOME=/work";
  options.environment[options.variables++] = path;
  options.environment[options.variables++] = home;
  int i = 2, readable = 0;
  for (; i < argc && strcmp(argv[i], "--"); i++) {
    const char *option = argv[i];
    if (!strcmp(option, "--plain")) options.plain = 1;
    else if (!strcmp(option, "--quiet")) options.quiet = 1;
    else if (!strcmp(option, "--host-network")) options.config.host_network = 1;
    else {
      const char *text = value(argc, argv, &i);
      unsigned long long number = strtoull(text, NULL, 10);
      if (!strcmp(option, "--memory")) options.spec.limits.memory_bytes = number;
      else if (!strcmp(option, "--processes")) options.spec.limits.processes = (uint32_t)number;
      else if (!strcmp(option, "--cpu")) options.spec.limits.cpu_percent = (uint32_t)number;
      else if (!strcmp(option, "--cpu-seconds")) options.spec.limits.cpu_seconds = number;
      else if (!strcmp(option, "--open-files")) options.spec.limits.open_files = (uint32_t)number;
      else if (!strcmp(option, "--file-bytes")) options.spec.limits.file_bytes = number;
      else if (!strcmp(option, "--disk")) options.config.disk_bytes = number;
      else if (!strcmp(option, "--disk-files")) options.config.disk_files = number;
      else if (!strcmp(option, "--slots")) options.config.slots = (uint32_t)number;
      else if (!strcmp(option, "--ready")) options.config.ready = (uint32_t)number;
      else if (!strcmp(option, "--clients")) options.clients = (int)number;
      else if (!strcmp(option, "--commands")) options.commands = (long)number, options.seconds = 1e6;
      else if (!strcmp(option, "--seconds")) options.seconds = atof(text);
      else if (!strcmp(option, "--kill-after")) options.kill_after = text;
      else if (!strcmp(option, "--cwd")) options.spec.cwd = text;
      else if (!strcmp(option, "--readable") && readable < BOX_MAX_READABLE) {
        const char *colon = strchr(text, ':');
        snprintf(options.config.readable[readable].host, BOX_PATH_BYTES, "%.*s", colon ? (int)(colon - text) : (int)strlen(text), text);
        snprintf(options.config.readable[readable++].box, BOX_PATH_BYTES, "%s", colon ? colon + 1 : "");
      }
      else if (!strcmp(option, "--env") && options.variables < 63) options.environment[options.variables++] = (char *)text;
      else {
        fprintf(stderr, "unknown option %s\n", option);
        return 2;
      }
    }
  }
  options.spec.argv = argv + (i < argc ? i + 1 : argc);
  options.spec.envp = options.environment;
  if (options.clients < 1 || options.clients > BOX_MAX_SLOTS) return 2;
  if (argc > 1 && !strcmp(argv[1], "check")) {
    struct box_report report;
    struct box_pool *pool = box_pool_open(&options.config, &report);
    print_report(&report);
    if (pool) box_pool_close(pool);
    return pool ? 0 : 3;
  }
  if (argc > 1 && options.spec.argv[0] && !strcmp(argv[1], "run")) return run();
  if (argc > 1 && options.spec.argv[0] && !strcmp(argv[1], "loop")) return loop();
  fprintf(stderr, "usage: %s check | run [options] -- command.. | loop [options] -- command..\n", argv[0]);
  return 2;
}
