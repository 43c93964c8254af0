#define _GNU_SOURCE
#include "sandbox.h"

#ifndef WITHOUT_BOXES
#include "box/box.h"
#include "family.h"
#include "poller.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB (1ull << 20)
/* Parked when there is little to do; a box costs about 0.1 MB. */
#define FEW_READY 2
#define MOST_READY 16
#define KILL_AGAIN_MS 500
/* No box came of so many attempts in a row, while commands wait: the machine gives none any more. */
#define MOST_FAILURES 20
/* Of a box: its socket, its limits, the three streams of its command. */
#define DESCRIPTORS_OF_A_BOX 10
#define DESCRIPTORS_OF_OURS 128

static struct box_config config;
static struct box_limits limits;
static int is_asked_for;
/* Without a command for so long the boxes go, and all their processes with them. */
static uint64_t let_go_after_ms = 30000;

static struct box_pool *pool;
static struct box_report report;
static struct run *by_box[BOX_MAX_SLOTS];
static struct run *first_waiting, *last_waiting;
static uint32_t waiting, in_boxes, failures;
static uint64_t let_go_at;

static char source;

void *sandbox_source(void) {
  return &source;
}

void sandbox_maker_main(int argc, char **argv) {
  box_maker_main(argc, argv);
}

/* --- what boxes are to be --- */

static int read_number(const char *text, uint64_t most, uint64_t *number) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno || end == text || *end || *text == '-' || value == 0 || value > most) return 0;
  *number = value;
  return 1;
}

/* HOST:BOX */
static int add_readable(const char *text) {
  const char *colon = strchr(text, ':');
  size_t length = colon ? (size_t)(colon - text) : 0;
  for (int n = 0; n < BOX_MAX_READABLE; n++) {
    if (config.readable[n].host[0]) continue;
    if (length == 0 || length >= BOX_PATH_BYTES || !colon[1] || strlen(colon + 1) >= BOX_PATH_BYTES) return 0;
    memcpy(config.readable[n].host, text, length);
    strcpy(config.readable[n].box, colon + 1);
    return 1;
  }
  return 0;
}

static int configure_one(const char *name, const char *value) {
  uint64_t number;
  if (!strcmp(name, "readable")) return add_readable(value);
  if (!strcmp(name, "network")) {
    config.host_network = !strcmp(value, "host");
    return config.host_network || !strcmp(value, "none");
  }
  if (!strcmp(name, "disk-mib")) return read_number(value, 1 << 30, &number) && (config.disk_bytes = number * MIB);
  if (!strcmp(name, "disk-files")) return read_number(value, 1ull << 32, &config.disk_files);
  if (!strcmp(name, "memory-mib")) return read_number(value, 1 << 30, &number) && (limits.memory_bytes = number * MIB);
  if (!strcmp(name, "processes")) return read_number(value, 1 << 22, &number) && (limits.processes = (uint32_t)number);
  if (!strcmp(name, "idle-ms")) return read_number(value, 1 << 30, &let_go_after_ms);
  if (!strcmp(name, "open-files")) return read_number(value, 1 << 20, &number) && (limits.open_files = (uint32_t)number);
  return 0;
}

int sandbox_configure(int argc, char **argv) {
  config = box_defaults();
  limits = (struct box_limits){.memory_bytes = 1024 * MIB, .processes = 256, .open_files = 4096};
  for (int n = 1; n < argc; n++) {
    char name[32];
    const char *equals = strchr(argv[n], '=');
    if (!strcmp(argv[n], "--try-sandbox")) {
      is_asked_for = 1;
      continue;
    }
    if (strncmp(argv[n], "--", 2) || !equals || equals - argv[n] - 2 >= (long)sizeof name) return 0;
    snprintf(name, sizeof name, "%.*s", (int)(equals - argv[n] - 2), argv[n] + 2);
    if (!configure_one(name, equals + 1)) return 0;
  }
  return 1;
}

int sandbox_is_asked_for(void) {
  return is_asked_for;
}

/* --- the pool --- */

static int open_pool(void) {
  if (pool) return 1;
  struct rlimit files;
  config.slots = BOX_MAX_SLOTS;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < BOX_MAX_SLOTS * DESCRIPTORS_OF_A_BOX + DESCRIPTORS_OF_OURS)
    config.slots = files.rlim_cur > 2 * DESCRIPTORS_OF_OURS ? (uint32_t)(files.rlim_cur - DESCRIPTORS_OF_OURS) / DESCRIPTORS_OF_A_BOX : 1;
  config.ready = FEW_READY;
  uid_t first = walls_reserved_users(BOX_MAX_SLOTS);
  if (first) config.first_uid = first;
  pool = box_pool_open(&config, &report);
  if (!pool) return 0;
  family_set_apart(box_pool_maker(pool));
  poller_add(box_pool_fd(pool), &source, 0);
  failures = 0;
  let_go_at = now_ms() + let_go_after_ms;
  return 1;
}

static const char *why_none(void) {
  static char text[600];
  snprintf(text, sizeof text, "%s: %s.%s%s", report.name, report.text, *report.advice ? " " : "", report.advice);
  return text;
}

uint32_t sandbox_try(const char **why) {
  if (open_pool()) return ABLE_SANDBOX | (report.cgroups ? ABLE_GROUPS : 0);
  *why = why_none();
  return 0;
}

int sandbox_report(void) {
  int is_given = open_pool();
  printf("{\"name\":\"%s\",\"cgroups\":%u,\"landlock\":%u,\"asRoot\":%s,\"text\":\"%s\",\"advice\":\"%s\"}\n", report.name, report.cgroups,
         report.landlock, report.as_root ? "true" : "false", report.text, report.advice);
  sandbox_close();
  return is_given ? 0 : 1;
}

static void refuse(struct fault *fault, int is_for_good) {
  *fault = (struct fault){.is_rejected = is_for_good ? 2 : 1};
  if (asprintf(&fault->detail, "Isolation sandbox cannot be given here: %s", why_none()) < 0) fault->detail = NULL;
}

int sandbox_prepare(struct fault *fault) {
  let_go_at = UINT64_MAX;
  if (open_pool()) return 1;
  refuse(fault, report.code != BOX_BROKEN);
  return 0;
}

static int is_idle(void) {
  if (waiting || in_boxes) return 0;
  for (struct run *run = runs_first(); run; run = run->next) {
    if (run->spec.is_sandbox_level && run->state <= RUN_CLEARING) return 0;
  }
  return 1;
}

uint64_t sandbox_tend(uint64_t now) {
  if (!pool || waiting || in_boxes) return UINT64_MAX;
  if (let_go_at == UINT64_MAX) {
    if (!is_idle()) return UINT64_MAX;
    let_go_at = now + let_go_after_ms;
  }
  if (now < let_go_at) return let_go_at;
  poller_remove(box_pool_fd(pool));
  box_pool_leave(pool);
  pool = NULL;
  return UINT64_MAX;
}

/* --- runs in boxes --- */

static void append(struct run *run) {
  run->next_waiting = NULL;
  if (first_waiting) last_waiting->next_waiting = run;
  else first_waiting = run;
  last_waiting = run;
  waiting++;
}

static struct run *take_first(void) {
  struct run *run = first_waiting;
  first_waiting = run->next_waiting;
  waiting--;
  return run;
}

void sandbox_stop_waiting(struct run *run) {
  struct run **at = &first_waiting, *before = NULL;
  for (; *at && *at != run; at = &(*at)->next_waiting) before = *at;
  if (!*at) return;
  *at = run->next_waiting;
  if (last_waiting == run) last_waiting = before;
  waiting--;
}

static void start_in(struct run *run, int box) {
  int streams[3] = {-1, -1, -1};
  struct start_fault fault = {0};
  uid_t owner = report.as_root ? config.first_uid + (uid_t)box : 0;
  if (!run_open_streams(run, owner, streams)) {
    fault.error = errno;
  } else {
    struct box_spec spec = {
        .argv = run->spec.argv,
        .envp = run->spec.envp,
        .cwd = run->spec.cwd,
        .limits = limits,
        .stdin_fd = streams[0],
        .stdout_fd = streams[1],
        .stderr_fd = streams[2],
    };
    if (run->spec.memory_mib) spec.limits.memory_bytes = run->spec.memory_mib * MIB;
    spec.limits.cpu_percent = run->spec.cpu_percent;
    fault.error = box_execute(pool, box, &spec);
  }
  run_close_streams(streams);
  run->box = box;
  by_box[box] = run;
  in_boxes++;
  if (!fault.error) return run_has_begun(run, 0);
  /* Its end is told once its box is gone. */
  start_fault_words(&run->spec, &fault, &run->fault);
  box_kill(pool, box, SIGKILL);
  run->state = RUN_CLEARING;
}

static void start_waiting(void) {
  int box;
  while (pool && first_waiting && (box = box_take(pool)) >= 0) start_in(take_first(), box);
  if (pool) box_pool_want(pool, waiting + FEW_READY > MOST_READY ? MOST_READY : waiting + FEW_READY);
}

void sandbox_execute(struct run *run) {
  if (run->spec.has_nul) {
    struct start_fault fault = {.error = EINVAL};
    start_fault_words(&run->spec, &fault, &run->fault);
    return run_is_off(run);
  }
  run->state = RUN_WAITING;
  append(run);
  if (open_pool()) return start_waiting();
  sandbox_stop_waiting(run);
  refuse(&run->fault, report.code != BOX_BROKEN);
  run_is_off(run);
}

void sandbox_signal(struct run *run, int signal) {
  if (pool && run->box >= 0) box_kill(pool, run->box, signal);
}

void sandbox_stop(struct run *run) {
  if (pool && run->box >= 0) box_stop(pool, run->box);
}

void sandbox_kill(struct run *run, uint64_t now) {
  run->look_at = now + KILL_AGAIN_MS;
  if (pool && run->box >= 0) box_kill(pool, run->box, SIGKILL);
}

static void tell_start_fault(struct run *run, const struct box_event *event) {
  struct start_fault fault = {
      .error = (int)event->start_error,
      .is_walls = event->start_stage == BOX_STAGE_LIMITS || event->start_stage == BOX_STAGE_REQUEST,
      .is_folder = event->start_stage == BOX_STAGE_FOLDER,
      .is_interpreter = event->start_stage == BOX_STAGE_INTERPRETER,
  };
  run->is_executed = 0;
  start_fault_words(&run->spec, &fault, &run->fault);
}

static void has_exited(struct run *run, const struct box_event *event) {
  if (run->state != RUN_EXECUTING) return;
  run->state = RUN_CLEARING;
  run->look_at = 0;
  run->exit_code = (int)event->exit_code;
  run->exit_signal = (int)event->signal;
  run->is_out_of_memory = event->out_of_memory != 0;
  run->cpu_us = event->user_us + event->system_us;
  run->peak_kib = event->max_rss_kib;
  if (event->start_error) tell_start_fault(run, event);
  else if (event->lost && !run->is_stopping && !run->is_out_of_memory)
    run->fault.detail = strdup("Its sandbox was killed from outside.");
}

static void is_gone(struct run *run) {
  by_box[run->box] = NULL;
  run->box = -1;
  in_boxes--;
  if (!waiting && !in_boxes) let_go_at = UINT64_MAX;
  if (run->state == RUN_CLEARING && !run->is_executed) run_is_off(run);
  else run_has_ended(run);
}

/* Who waits for a box now waits in vain. */
static void fail_waiting(int is_for_good) {
  while (first_waiting) {
    struct run *run = take_first();
    refuse(&run->fault, is_for_good);
    run_is_off(run);
  }
}

/* With it all boxes died. A new one is started by the next that wants a box. */
static void lost_maker(void) {
  poller_remove(box_pool_fd(pool));
  box_pool_close(pool);
  pool = NULL;
  struct box_event event = {.lost = 1, .signal = SIGKILL};
  for (int n = 0; n < BOX_MAX_SLOTS; n++) {
    struct run *run = by_box[n];
    if (!run) continue;
    has_exited(run, &event);
    is_gone(run);
  }
  if (!first_waiting) return;
  if (open_pool()) start_waiting();
  else fail_waiting(report.code != BOX_BROKEN);
}

void sandbox_ready(void) {
  struct box_event event;
  int got = 0;
  while (pool && (got = box_pool_next(pool, &event)) > 0) {
    struct run *run = by_box[event.box];
    switch (event.kind) {
      case BOX_READY: failures = 0; break;
      case BOX_EXITED: if (run) has_exited(run, &event); break;
      case BOX_GONE: if (run) is_gone(run); break;
      case BOX_FAILED:
        if (++failures < MOST_FAILURES || in_boxes || box_pool_ready(pool)) break;
        snprintf(report.name, sizeof report.name, "no-boxes");
        snprintf(report.text, sizeof report.text, "no box could be prepared: %s", strerror((int)event.start_error));
        report.advice[0] = 0;
        fail_waiting(0);
        break;
    }
  }
  if (got < 0) return lost_maker();
  start_waiting();
}

void sandbox_close(void) {
  if (!pool) return;
  poller_remove(box_pool_fd(pool));
  box_pool_close(pool);
  pool = NULL;
}

#else

#include <stdio.h>
#include <string.h>

static char source;
static const char why_none[] = "not-built: the sandboxes were not compiled in. Install the kernel's headers (linux-libc-dev, linux-headers), then run npm run build:launcher.";

void sandbox_maker_main(int argc, char **argv) { (void)argc, (void)argv; }

int sandbox_configure(int argc, char **argv) {
  (void)argc, (void)argv;
  return 1;
}

int sandbox_is_asked_for(void) { return 1; }

uint32_t sandbox_try(const char **why) {
  *why = why_none;
  return 0;
}

int sandbox_report(void) {
  printf("{\"name\":\"not-built\",\"cgroups\":0,\"landlock\":0,\"asRoot\":false,\"text\":\"the sandboxes were not compiled in\",\"advice\":\"%s\"}\n",
         strchr(why_none, 'I'));
  return 1;
}

void *sandbox_source(void) { return &source; }
void sandbox_ready(void) {}

int sandbox_prepare(struct fault *fault) {
  *fault = (struct fault){.is_rejected = 2, .detail = strdup(why_none)};
  return 0;
}

void sandbox_execute(struct run *run) { (void)run; }
void sandbox_signal(struct run *run, int signal) { (void)run, (void)signal; }
void sandbox_stop_waiting(struct run *run) { (void)run; }
void sandbox_stop(struct run *run) { (void)run; }
void sandbox_kill(struct run *run, uint64_t now) { (void)run, (void)now; }

uint64_t sandbox_tend(uint64_t now) {
  (void)now;
  return UINT64_MAX;
}

void sandbox_close(void) {}
#endif
