/* The launcher's side of a pool: no system call here waits, but for those of opening and closing. */
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum state { UNSTARTED, MAKING, PARKED, TAKEN, RUNNING, ENDED };

struct slot {
  enum state state;
  int socket;
  int limits[LIMIT_FDS];
  uint64_t generation, memory, oom_kills, since; /* in ms: when its command was begun */
  uint32_t processes, cpu;
};

struct box_pool {
  struct box_config config;
  struct box_report report;
  int channel, epoll, timer, timing, dead;
  pid_t maker;
  struct epoll_event ready_fds[32];
  int ready_at, ready_count;
  struct box_event later[4]; /* more than one event may follow from one message */
  uint32_t later_at, later_end;
  uint32_t started, making, parked, ended, turning;
  uint32_t *order, order_length; /* parked boxes, the last one first: its memory is still warm */
  struct execute request;
  struct slot slots[BOX_MAX_SLOTS];
};

#define CHANNEL UINT32_MAX
#define TIMER (UINT32_MAX - 1)
#define LOOK_AGAIN_MS 3
#define HELD_AFTER_MS 20
#define TURNING_OF_A_CORE 4
#define NO_LIMIT UINT64_MAX

struct box_config box_defaults(void) {
  return (struct box_config){.slots = 128, .ready = 16, .disk_bytes = 256 << 20, .disk_files = 65536, .first_uid = 200000};
}

static uint64_t oom_kills(const struct slot *slot) {
  char text[512];
  ssize_t got = slot->limits[LIMIT_EVENTS] < 0 ? -1 : pread(slot->limits[LIMIT_EVENTS], text, sizeof text - 1, 0);
  if (got <= 0) return 0;
  text[got] = 0;
  const char *line = strstr(text, "oom_kill ");
  return line ? strtoull(line + 9, NULL, 10) : 0;
}

static void ask_for_slot(struct box_pool *pool) {
  struct slot_message order = {.kind = SAY_MAKE, .slot = pool->started};
  if (pool->started >= pool->config.slots || say(pool->channel, &order, sizeof order, NULL, 0) < 0) return;
  pool->slots[pool->started++].state = MAKING;
  pool->making++;
}

static void look_again(struct box_pool *pool) {
  struct itimerspec soon = {.it_value.tv_nsec = LOOK_AGAIN_MS * 1000000L};
  if (!pool->timing && !timerfd_settime(pool->timer, 0, &soon, NULL)) pool->timing = 1;
}

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Slots that a command holds for longer than it takes to make a box. */
static uint32_t held_slots(const struct box_pool *pool) {
  uint64_t before = now_ms() - HELD_AFTER_MS;
  uint32_t held = 0;
  for (uint32_t i = 0; i < pool->started; i++) held += pool->slots[i].state == RUNNING && pool->slots[i].since < before;
  return held;
}

/*
 * More slots are begun when boxes are short, beside those that are held, up to some for each core: more than that which
 * come back all the time would only crowd the cores. Slots stay: an idle pool is as large as its busiest moment.
 */
static void grow(struct box_pool *pool) {
  uint64_t ticks;
  if (read(pool->timer, &ticks, sizeof ticks) < 0) { /* not yet */ }
  pool->timing = 0;
  uint32_t short_of = pool->parked < pool->config.ready ? pool->config.ready - pool->parked : 0;
  if (!short_of || pool->dead || pool->started >= pool->config.slots) return;
  uint32_t most = pool->turning > pool->config.ready ? pool->turning : pool->config.ready, held = held_slots(pool);
  while (short_of-- && pool->started < pool->config.slots && pool->started < held + most) ask_for_slot(pool);
  look_again(pool);
}

static void watch(struct box_pool *pool, int fd, uint32_t what) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};
  epoll_ctl(pool->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void drop_descriptors(struct slot *slot) {
  if (slot->socket >= 0) close(slot->socket);
  slot->socket = -1;
  for (int i = 0; i < LIMIT_FDS; i++) {
    if (slot->limits[i] >= 0) close(slot->limits[i]);
    slot->limits[i] = -1;
  }
}

static void unpark(struct box_pool *pool, uint32_t index) {
  for (uint32_t i = 0; i < pool->order_length; i++)
    if (pool->order[i] == index) {
      memmove(pool->order + i, pool->order + i + 1, (pool->order_length - i - 1) * sizeof *pool->order);
      pool->order_length--;
      pool->parked--;
      return;
    }
}

static void tell(struct box_pool *pool, struct box_event event) { pool->later[pool->later_end++] = event; }

/* The box is no more. Whoever had it is told how it ended, even when the box itself could not tell. */
static void gone(struct box_pool *pool, uint32_t index, const struct box_message *message) {
  int status = message ? message->status : 0;
  struct slot *slot = &pool->slots[index];
  struct box_event event = {.kind = BOX_GONE, .box = index, .generation = slot->generation};
  enum state was = slot->state;
  slot->state = MAKING;
  if (was == PARKED) unpark(pool, index);
  if (was == ENDED) pool->ended--;
  if (was != MAKING) pool->making++;
  if (was == RUNNING || was == TAKEN) {
    uint64_t kills = oom_kills(slot);
    struct box_event exited = event;
    exited.kind = BOX_EXITED;
    exited.lost = 1;
    exited.signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : SIGKILL;
    exited.out_of_memory = kills > slot->oom_kills;
    slot->oom_kills = kills;
    if (message) {
      exited.user_us = message->user_us;
      exited.system_us = message->system_us;
      exited.max_rss_kib = message->max_rss_kib;
    }
    tell(pool, exited);
  }
  if (was == RUNNING || was == TAKEN || was == ENDED) tell(pool, event);
}

static void exited(struct box_pool *pool, uint32_t index, const struct box_message *message) {
  struct slot *slot = &pool->slots[index];
  if (slot->state != RUNNING || message->generation != slot->generation) return;
  slot->state = ENDED;
  pool->ended++;
  struct box_event event = {
    .kind = BOX_EXITED,
    .box = index,
    .generation = message->generation,
    .exit_code = WIFEXITED(message->status) ? (uint32_t)WEXITSTATUS(message->status) : 0,
    .signal = WIFSIGNALED(message->status) ? (uint32_t)WTERMSIG(message->status) : 0,
    .start_error = message->start_error,
    .start_stage = message->step,
    .user_us = message->user_us,
    .system_us = message->system_us,
    .max_rss_kib = message->max_rss_kib,
  };
  uint64_t kills = oom_kills(slot);
  event.out_of_memory = message->out_of_memory || kills > slot->oom_kills;
  slot->oom_kills = kills;
  tell(pool, event);
}

static void on_slot_message(struct box_pool *pool, uint32_t index) {
  struct slot *slot = &pool->slots[index];
  struct box_message message;
  ssize_t got = hear(slot->socket, &message, sizeof message, NULL, NULL, MSG_DONTWAIT);
  if (got == 0) { /* the keeper died: the maker will send another one's socket */
    gone(pool, index, NULL);
    drop_descriptors(slot);
  }
  if (got != sizeof message) return;
  if (message.kind == SAY_EXITED) exited(pool, index, &message);
  /* Words of a later box mean that the one before is gone. */
  else if (message.kind == SAY_GONE || slot->state != MAKING) gone(pool, index, message.kind == SAY_GONE ? &message : NULL);
  struct box_event event = {.kind = BOX_READY, .box = index, .generation = message.generation};
  if (message.kind == SAY_READY) {
    slot->state = PARKED;
    slot->generation = message.generation;
    pool->making--;
    pool->parked++;
    pool->order[pool->order_length++] = index;
    tell(pool, event);
  } else if (message.kind == SAY_UNFIT) {
    event.kind = BOX_FAILED;
    event.start_error = message.error;
    pool->report.error = message.step << 16 | message.error;
    tell(pool, event);
  }
}

/* A slot's socket, new or again. -1: the maker is gone; 1: this was its report, not a slot. */
static int on_channel_message(struct box_pool *pool) {
  union { struct opened opened; struct slot_message slot; } message;
  int fds[1 + LIMIT_FDS], count = 1 + LIMIT_FDS, next = 1;
  ssize_t got = hear(pool->channel, &message, sizeof message, fds, &count, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN ? 0 : -1;
  if (got == 0) return -1;
  if (got == sizeof message.opened && message.opened.kind == SAY_OPENED) {
    pool->report = message.opened.report;
    return 1;
  }
  if (got != sizeof message.slot || message.slot.kind != SAY_SLOT || message.slot.slot >= BOX_MAX_SLOTS || !count) return 0;
  struct slot *slot = &pool->slots[message.slot.slot];
  drop_descriptors(slot);
  slot->socket = fds[0];
  for (int i = 0; i < LIMIT_FDS; i++) slot->limits[i] = message.slot.present & (1u << i) && next < count ? fds[next++] : -1;
  slot->memory = slot->processes = slot->cpu = 0;
  slot->oom_kills = oom_kills(slot);
  watch(pool, slot->socket, message.slot.slot);
  return 0;
}

int box_pool_next(struct box_pool *pool, struct box_event *event) {
  for (;;) {
    if (pool->later_at < pool->later_end) {
      *event = pool->later[pool->later_at++];
      return 1;
    }
    pool->later_at = pool->later_end = 0;
    if (pool->dead) return -1;
    if (pool->ready_at == pool->ready_count) {
      pool->ready_at = 0;
      pool->ready_count = epoll_wait(pool->epoll, pool->ready_fds, 32, 0);
      if (pool->ready_count <= 0) {
        pool->ready_count = 0;
        return 0;
      }
    }
    uint32_t what = pool->ready_fds[pool->ready_at++].data.u32;
    if (what == TIMER) {
      grow(pool);
    } else if (what == CHANNEL) {
      if (on_channel_message(pool) < 0) {
        pool->dead = 1;
        return -1;
      }
    } else if (pool->slots[what].socket >= 0) {
      on_slot_message(pool, what);
    }
  }
}

int box_pool_fd(const struct box_pool *pool) { return pool->epoll; }
uint32_t box_pool_ready(const struct box_pool *pool) { return pool->parked; }

pid_t box_pool_maker(const struct box_pool *pool) { return pool->maker; }

void box_pool_want(struct box_pool *pool, uint32_t ready) {
  if (ready > pool->config.ready && !pool->dead) look_again(pool);
  pool->config.ready = ready ? ready : 1;
}

int box_take(struct box_pool *pool) {
  if (pool->parked <= pool->config.ready && pool->started < pool->config.slots) look_again(pool);
  if (!pool->order_length) return -1;
  uint32_t index = pool->order[--pool->order_length];
  pool->parked--;
  pool->slots[index].state = TAKEN;
  return (int)index;
}

/* `none` is what the file calls no limit. */
static int write_number(int fd, uint64_t value, const char *none, const char *behind) {
  char text[48];
  if (fd < 0) return 0;
  int length = value == NO_LIMIT ? snprintf(text, sizeof text, "%s%s", none, behind)
                                 : snprintf(text, sizeof text, "%llu%s", (unsigned long long)value, behind);
  return pwrite(fd, text, (size_t)length, 0) < 0 ? errno : 0;
}

static int limit_memory(struct slot *slot, uint64_t bytes, int version) {
  const char *none = version == 2 ? "max" : "-1";
  int rises = bytes == NO_LIMIT || (slot->memory && bytes > slot->memory), error;
  /* Version 1 keeps memory below memory with swap, at each moment. */
  if (rises && (error = write_number(slot->limits[LIMIT_SWAP], bytes, none, ""))) return error;
  if ((error = write_number(slot->limits[LIMIT_MEMORY], bytes, none, ""))) return error;
  return rises ? 0 : write_number(slot->limits[LIMIT_SWAP], bytes, none, "");
}

/* Groups keep what was written last; only changes are. */
static int limit_slot(struct slot *slot, const struct box_limits *limits, int version) {
  uint64_t memory = limits->memory_bytes ? limits->memory_bytes : NO_LIMIT;
  int error;
  if (!version) return 0;
  if (slot->memory != memory) {
    if ((error = limit_memory(slot, memory, version))) return error;
    slot->memory = memory;
  }
  if (slot->processes != limits->processes) {
    /* The keeper and init are counted as well. */
    if ((error = write_number(slot->limits[LIMIT_PROCESSES], limits->processes ? limits->processes + 2ull : NO_LIMIT, "max", ""))) return error;
    slot->processes = limits->processes;
  }
  if (slot->cpu != limits->cpu_percent) {
    uint64_t quota = limits->cpu_percent ? limits->cpu_percent * 1000ull : NO_LIMIT;
    if ((error = write_number(slot->limits[LIMIT_CPU], quota, version == 2 ? "max" : "-1", version == 2 ? " 100000" : ""))) return error;
    slot->cpu = limits->cpu_percent;
  }
  return 0;
}

static size_t count_strings(char *const *list, uint32_t *count) {
  size_t bytes = 0;
  for (*count = 0; list && list[*count]; ++*count) bytes += strlen(list[*count]) + 1;
  return bytes;
}

static char *put_strings(char *at, char *const *list, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) at = stpcpy(at, list[i]) + 1;
  return at;
}

static int send_request(struct box_pool *pool, struct slot *slot, const struct box_spec *spec) {
  struct execute *request = &pool->request;
  const char *cwd = spec->cwd ? spec->cwd : "/work";
  size_t bytes = strlen(cwd) + 1 + count_strings(spec->argv, &request->argc) + count_strings(spec->envp, &request->envc);
  int fds[4], count = 0, file = -1;
  if (!request->argc) return EINVAL;
  if (bytes > 8 << 20) return E2BIG;
  const int streams[] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd};
  request->kind = SAY_EXECUTE;
  request->with_fds = 0;
  request->generation = slot->generation;
  request->limits = spec->limits;
  request->string_bytes = (uint32_t)bytes;
  for (int i = 0; i < 3; i++)
    if (streams[i] >= 0) {
      request->with_fds |= 1u << i;
      fds[count++] = streams[i];
    }
  char *text = request->strings;
  if (bytes > INLINE_BYTES) {
    file = memfd_create("errand-command", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)bytes)) goto failed;
    text = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (text == MAP_FAILED) goto failed;
    request->with_fds |= 8;
    fds[count++] = file;
  }
  put_strings(put_strings(stpcpy(text, cwd) + 1, spec->argv, request->argc), spec->envp, request->envc);
  size_t length = offsetof(struct execute, strings) + (file < 0 ? bytes : 0);
  if (file >= 0) munmap(text, bytes);
  /* Never a wait: a parked box has an empty socket. */
  if (say(slot->socket, request, length, fds, count) < 0) goto failed;
  if (file >= 0) close(file);
  return 0;
failed:;
  int error = errno;
  if (file >= 0) close(file);
  return error;
}

int box_execute(struct box_pool *pool, int box, const struct box_spec *spec) {
  if (box < 0 || box >= BOX_MAX_SLOTS || pool->slots[box].state != TAKEN) return EINVAL;
  struct slot *slot = &pool->slots[box];
  int error = limit_slot(slot, &spec->limits, (int)pool->report.cgroups);
  if (!error) error = send_request(pool, slot, spec);
  slot->state = error ? ENDED : RUNNING;
  slot->since = now_ms();
  if (error) {
    pool->ended++;
    struct box_message order = {.kind = SAY_KILL, .signal = SIGKILL, .generation = slot->generation};
    say(slot->socket, &order, sizeof order, NULL, 0);
  }
  return error;
}

static int tell_box(struct box_pool *pool, int box, uint32_t kind, int signal) {
  if (box < 0 || box >= BOX_MAX_SLOTS) return EINVAL;
  struct slot *slot = &pool->slots[box];
  if (slot->state != TAKEN && slot->state != RUNNING) return 0;
  struct box_message order = {.kind = kind, .signal = (uint32_t)signal, .generation = slot->generation};
  return say(slot->socket, &order, sizeof order, NULL, 0) < 0 ? errno : 0;
}

int box_kill(struct box_pool *pool, int box, int signal) { return tell_box(pool, box, SAY_KILL, signal); }
int box_stop(struct box_pool *pool, int box) { return tell_box(pool, box, SAY_STOP, SIGTERM); }

static pid_t start_maker(int channel) {
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    static char name[] = "errand-box-maker";
    char *const arguments[] = {name, NULL}, *const nothing[] = {NULL};
    int kept = fcntl(channel, F_DUPFD, 10);
    dup2(kept, 3);
    close(kept);
    execve("/proc/self/exe", arguments, nothing);
    _exit(1);
  }
  close(self);
  return pid;
}

/* Until the first box is parked, or the reason is known why none will be. */
static int open_first(struct box_pool *pool) {
  struct pollfd line = {.fd = pool->channel, .events = POLLIN};
  int told;
  do {
    if (poll(&line, 1, 20000) <= 0) return ETIMEDOUT;
    if ((told = on_channel_message(pool)) < 0) return EPIPE;
  } while (!told);
  if (pool->report.code) return EIO;
  watch(pool, pool->channel, CHANNEL);
  watch(pool, pool->timer, TIMER);
  for (uint32_t i = 0; i < pool->config.ready; i++) ask_for_slot(pool);
  struct pollfd any = {.fd = pool->epoll, .events = POLLIN};
  while (!pool->parked) {
    struct box_event event;
    if (poll(&any, 1, 20000) <= 0) return ETIMEDOUT;
    int got = box_pool_next(pool, &event);
    if (got < 0) return EPIPE;
    if (got && event.kind == BOX_FAILED) {
      maker.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
      explain(&pool->report, (enum step)(pool->report.error >> 16), (int)event.start_error);
      close(maker.proc);
      return EIO;
    }
  }
  return 0;
}

struct box_pool *box_pool_open(const struct box_config *config, struct box_report *report) {
  struct box_pool *pool = calloc(1, sizeof *pool);
  int pair[2], error = 0;
  memset(report, 0, sizeof *report);
  if (!pool) return NULL;
  pool->config = *config;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  pool->turning = TURNING_OF_A_CORE * (uint32_t)(cores > 0 ? cores : 1);
  if (pool->config.slots > BOX_MAX_SLOTS) pool->config.slots = BOX_MAX_SLOTS;
  if (!pool->config.slots) pool->config.slots = 1;
  if (!pool->config.ready) pool->config.ready = 1;
  for (int i = 0; i < BOX_MAX_SLOTS; i++) {
    pool->slots[i].socket = -1;
    for (int j = 0; j < LIMIT_FDS; j++) pool->slots[i].limits[j] = -1;
  }
  pool->order = calloc(BOX_MAX_SLOTS, sizeof *pool->order);
  pool->epoll = epoll_create1(EPOLL_CLOEXEC);
  pool->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) error = errno;
  else {
    pool->channel = pair[0];
    pool->maker = start_maker(pair[1]);
    close(pair[1]);
    if (pool->maker < 0 || say(pool->channel, &pool->config, sizeof pool->config, NULL, 0) < 0) error = errno;
    else error = open_first(pool);
  }
  if (error && !pool->report.code) {
    pool->report.code = BOX_BROKEN;
    pool->report.error = (uint32_t)error;
    snprintf(pool->report.name, sizeof pool->report.name, "broken");
    snprintf(pool->report.text, sizeof pool->report.text, "starting the maker of boxes: %s", strerror(error));
  }
  if (!error) {
    pool->report.error = 0;
    snprintf(pool->report.name, sizeof pool->report.name, "ok");
  }
  *report = pool->report;
  if (!error) return pool;
  box_pool_close(pool);
  return NULL;
}

static void let_go(struct box_pool *pool, int is_awaited) {
  if (pool->channel > 0) close(pool->channel);
  for (int i = 0; i < BOX_MAX_SLOTS; i++) drop_descriptors(&pool->slots[i]);
  if (is_awaited && pool->maker > 0)
    while (waitpid(pool->maker, NULL, 0) < 0 && errno == EINTR) {}
  if (pool->timer >= 0) close(pool->timer);
  if (pool->epoll >= 0) close(pool->epoll);
  free(pool->order);
  free(pool);
}

void box_pool_close(struct box_pool *pool) { let_go(pool, 1); }
void box_pool_leave(struct box_pool *pool) { let_go(pool, 0); }
