#define _GNU_SOURCE
#include "run.h"

#include "family.h"
#include "folder.h"
#include "inheritance.h"
#include "poller.h"
#include "sandbox.h"
#include "start.h"
#include "tty.h"
#include "walls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (64 * 1024)
/* Someone outside of the tree may have been handed the command's pipes: its end does not wait for them for long. */
#define PIPES_PATIENCE_MS 2000
#define LONGEST_PAUSE_MS 500
/* What a command with a terminal left behind hears that this was hung up, and has so long before it is killed. */
#define HANG_UP_MS 1000
#define TABLE 1024

static struct run *by_id[TABLE], *by_child[TABLE], *first_run, *over;
static uint64_t starts;

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct run *runs_first(void) {
  return first_run;
}

struct run *run_find(uint32_t id) {
  struct run *run = by_id[id % TABLE];
  while (run && run->id != id) run = run->next_by_id;
  return run;
}

struct run *run_of_child(pid_t pid) {
  struct run *run = by_child[(uint32_t)pid % TABLE];
  while (run && run->child != pid) run = run->next_by_child;
  return run;
}

static void set_child(struct run *run, pid_t pid) {
  struct run **at;
  if (run->child) {
    for (at = &by_child[(uint32_t)run->child % TABLE]; *at != run;) at = &(*at)->next_by_child;
    *at = run->next_by_child;
  }
  run->child = pid;
  if (!pid) return;
  at = &by_child[(uint32_t)pid % TABLE];
  run->next_by_child = *at;
  *at = run;
}

static void close_stream(struct stream *stream) {
  if (stream->fd < 0) return;
  /* By itself epoll would forget it only once no process has it, and one that is about to execute still may. */
  if (stream->is_watched) poller_remove(stream->fd);
  close(stream->fd);
  stream->fd = -1;
  stream->is_watched = 0;
}

static void watch(struct stream *stream, int is_watched) {
  if (stream->fd < 0 || stream->is_watched == is_watched) return;
  if (is_watched) poller_add(stream->fd, stream, stream->kind == FRAME_STDIN);
  else poller_remove(stream->fd);
  stream->is_watched = (uint8_t)is_watched;
}

/* --- the end --- */

static uint8_t *put_text(uint8_t *at, const char *text) {
  size_t length = strlen(text);
  write_u32(at, (uint32_t)length);
  memcpy(at + 4, text, length);
  return at + 4 + length;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value) {
  write_u32(at, (uint32_t)(value >> 32));
  write_u32(at + 4, (uint32_t)value);
  return at + 8;
}

enum end_kind { END_ENDED = 0, END_DROPPED = 1, END_REJECTED = 2 };
enum end_flag { END_HAS_EXIT_CODE = 1, END_OUT_OF_MEMORY = 2, END_HAS_USAGE = 4, END_RETRYABLE = 8 };

static void send_end(const struct run *run) {
  char made[16];
  const char *detail = run->fault.detail ? run->fault.detail : "";
  const char *signal = run->exit_signal ? signal_name(run->exit_signal, made) : "";
  uint8_t *payload = malloc(22 + 8 + strlen(signal) + strlen(detail));
  if (!payload) abort();
  int was_executed = run->is_executed;
  int is_ended = was_executed || (run->fault.detail && !run->fault.is_rejected);
  int has_exit_code = is_ended && run->exit_signal == 0;
  uint8_t flags = (uint8_t)((has_exit_code ? END_HAS_EXIT_CODE : 0) | (run->is_out_of_memory ? END_OUT_OF_MEMORY : 0) |
                            (was_executed ? END_HAS_USAGE : 0) | (run->fault.is_rejected > 1 ? 0 : END_RETRYABLE));
  uint8_t *at = payload;
  *at++ = is_ended ? END_ENDED : run->fault.is_rejected ? END_REJECTED : END_DROPPED;
  *at++ = flags;
  write_u32(at, (uint32_t)(was_executed ? run->exit_code : run->fault.exit_code));
  at = put_u64(at + 4, run->cpu_us);
  at = put_u64(at, run->peak_kib);
  at = put_text(at, signal);
  at = put_text(at, detail);
  send_frame(FRAME_END, run->id, payload, (size_t)(at - payload));
  free(payload);
}

static void finish(struct run *run) {
  send_end(run);
  run->state = RUN_OVER;
  struct run **at = &by_id[run->id % TABLE];
  while (*at != run) at = &(*at)->next_by_id;
  *at = run->next_by_id;
  if (run->next) run->next->previous = run->previous;
  if (run->previous) run->previous->next = run->next;
  else first_run = run->next;
  /* What epoll has told of it in this turn still names it. */
  run->next = over;
  over = run;
}

void runs_free_over(void) {
  while (over) {
    struct run *run = over;
    over = run->next;
    free(run->fault.detail);
    spec_free(&run->spec);
    free(run);
  }
}

static void remove_folder(struct run *run) {
  /* Its folder was gone with the sandbox. */
  if (run->spec.is_sandbox_level) return finish(run);
  run->state = RUN_REMOVING;
  run->look_at = 0;
  const char *folder = run->spec.work_directory;
  if (run->uid == 0 ? folder_recycle(folder, now_ms()) : folder_remove(folder)) return finish(run);
  /* It may hold millions of files. */
  pid_t child = fork();
  if (child == 0) {
    /* Else a command would wait for the end of its input for as long as this takes. */
    close_inherited();
    folder_remove_all(run->spec.work_directory);
    _exit(0);
  }
  if (child < 0) {
    folder_remove_all(run->spec.work_directory);
    return finish(run);
  }
  set_child(run, child);
}

/* --- input --- */

static void taken(struct run *run, size_t bytes) {
  if (bytes > 0) send_number(FRAME_STDIN_TAKEN, run->id, (uint32_t)bytes);
}

/* The command takes no more, which is its right. */
static void drop_input(struct run *run) {
  close_stream(&run->in);
  size_t dropped = 0;
  while (run->first_piece) {
    struct piece *piece = run->first_piece;
    dropped += piece->length - piece->at;
    run->first_piece = piece->next;
    free(piece);
  }
  run->last_piece = NULL;
  taken(run, dropped);
}

static void end_input(struct run *run) {
  if (run->spec.terminal && run->in.fd >= 0) tty_end_input(run->in.fd);
  close_stream(&run->in);
}

static void write_input(struct run *run) {
  size_t written = 0;
  while (run->first_piece) {
    struct piece *piece = run->first_piece;
    ssize_t wrote = write(run->in.fd, piece->bytes + piece->at, piece->length - piece->at);
    if (wrote < 0) {
      taken(run, written);
      if (errno == EAGAIN || errno == EINTR) watch(&run->in, 1);
      else drop_input(run);
      return;
    }
    written += (size_t)wrote;
    piece->at += (uint32_t)wrote;
    if (piece->at < piece->length) continue;
    run->first_piece = piece->next;
    free(piece);
  }
  run->last_piece = NULL;
  taken(run, written);
  watch(&run->in, 0);
  if (run->is_input_ended) end_input(run);
}

void run_stdin(struct run *run, const uint8_t *bytes, size_t length) {
  if (run->state == RUN_PREPARED || length == 0) return;
  int is_waiting = run->state == RUN_WAITING && run->spec.has_stdin;
  if ((run->in.fd < 0 && !is_waiting) || run->is_input_ended) return taken(run, length);
  struct piece *piece = malloc(sizeof *piece + length);
  if (!piece) abort();
  *piece = (struct piece){.length = (uint32_t)length};
  memcpy(piece->bytes, bytes, length);
  if (run->last_piece) run->last_piece->next = piece;
  else run->first_piece = piece;
  run->last_piece = piece;
  if (!is_waiting && !run->in.is_watched) write_input(run);
}

void run_stdin_end(struct run *run) {
  run->is_input_ended = 1;
  if (!run->first_piece) end_input(run);
}

void run_resize(struct run *run, uint32_t size) {
  if (!run->spec.terminal || !tty_is_size(size)) return;
  run->spec.terminal = size;
  if (run->out.fd >= 0) tty_resize(run->out.fd, size);
}

/* --- output --- */

static void read_output(struct run *run, struct stream *stream) {
  while (stream->fd >= 0 && run->window > 0) {
    long got = send_read(stream->kind, run->id, stream->fd, READ_BYTES);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return close_stream(stream);
    run->window -= got;
    run->moved_at = now_ms();
    /* The others have their turn; only at the end all is read at once. */
    if (run->state == RUN_EXECUTING) break;
  }
  if (run->window > 0) return;
  watch(&run->out, 0);
  watch(&run->err, 0);
}

static void go_on_draining(struct run *run) {
  if (run->out.fd >= 0 || run->err.fd >= 0) {
    uint64_t now = now_ms();
    /* While the window is full, bytes wait in the pipe for whoever takes them. */
    uint64_t give_up_at = run->window <= 0 ? now + PIPES_PATIENCE_MS : run->moved_at + PIPES_PATIENCE_MS;
    if (now < give_up_at) {
      run->look_at = give_up_at;
      return;
    }
    close_stream(&run->out);
    close_stream(&run->err);
  }
  remove_folder(run);
}

void run_has_ended(struct run *run) {
  run->state = RUN_DRAINING;
  if (cage_ran_out_of_memory(&run->cage)) run->is_out_of_memory = 1;
  cage_remove(&run->cage);
  drop_input(run);
  run->moved_at = now_ms();
  read_output(run, &run->out);
  read_output(run, &run->err);
  go_on_draining(run);
}

void run_credit(struct run *run, uint32_t bytes) {
  int was_full = run->window <= 0;
  run->window += bytes;
  run->moved_at = now_ms();
  if (!was_full || run->window <= 0) return;
  watch(&run->out, 1);
  watch(&run->err, 1);
}

void stream_ready(struct stream *stream) {
  struct run *run = stream->run;
  /* Closed or left since epoll told of it. */
  if (stream->fd < 0 || !stream->is_watched || run->state == RUN_OVER) return;
  if (stream->kind == FRAME_STDIN) return write_input(run);
  read_output(run, stream);
  if (run->state == RUN_DRAINING) go_on_draining(run);
}

/* --- the start --- */

void run_prepare(uint32_t id, const uint8_t *payload, size_t length) {
  struct run *run = calloc(1, sizeof *run);
  if (!run) abort();
  run->id = id;
  run->box = -1;
  run->in = (struct stream){.run = run, .fd = -1, .kind = FRAME_STDIN};
  run->out = (struct stream){.run = run, .fd = -1, .kind = FRAME_STDOUT};
  run->err = (struct stream){.run = run, .fd = -1, .kind = FRAME_STDERR};
  run->window = WINDOW_BYTES;
  if (!spec_read(&run->spec, payload, length)) {
    /* Whoever sends such a thing does not mean what we would make of it. */
    free(run);
    runs_abandon();
    exit(2);
  }
  run->next = first_run;
  if (first_run) first_run->previous = run;
  first_run = run;
  run->next_by_id = by_id[id % TABLE];
  by_id[id % TABLE] = run;
  const struct spec *spec = &run->spec;
  if (spec->is_sandbox_level) {
    if (!sandbox_prepare(&run->fault)) finish(run);
    return;
  }
  if (spec->is_process_level) run->uid = walls_take_user();
  int error = folder_make(spec->work_directory, run->uid);
  if (error) {
    work_folder_fault(spec->work_directory, error, &run->fault);
  } else if (spec->memory_mib || spec->cpu_percent) {
    error = cage_make(&run->cage, spec->memory_mib, spec->cpu_percent);
    if (error) cage_fault(error, &run->fault);
  }
  if (error || (spec->cwd && folder_fault(spec->cwd, &run->fault))) {
    cage_remove(&run->cage);
    remove_folder(run);
  }
}

/* A pipe of which our end does not block and `theirs` does. */
static int make_pipe(int *ours, int *theirs, int is_input) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) return 0;
  *ours = ends[is_input];
  *theirs = ends[!is_input];
  return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static int null_device = -1;

/* All three are the terminal, of which the other side is ours: its output comes as stdout, and ends as a pipe does. */
static int open_terminal(struct run *run, uid_t owner, int streams[3]) {
  run->out.fd = tty_open(run->spec.terminal, owner, &streams[0]);
  if (run->out.fd < 0) return 0;
  /* Of its own, since a descriptor is waited for either to be read or to be written. */
  if (run->spec.has_stdin && (run->in.fd = fcntl(run->out.fd, F_DUPFD_CLOEXEC, 0)) < 0) return 0;
  streams[1] = streams[2] = streams[0];
  return 1;
}

int run_open_streams(struct run *run, uid_t owner, int streams[3]) {
  if (null_device < 0) null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (run->spec.terminal) return open_terminal(run, owner, streams);
  streams[0] = null_device;
  int are_open = null_device >= 0 && make_pipe(&run->out.fd, &streams[1], 0) &&
                 make_pipe(&run->err.fd, &streams[2], 0) &&
                 (!run->spec.has_stdin || make_pipe(&run->in.fd, &streams[0], 1));
  /* By /dev/stderr a command opens its own pipe, which must then be its own. */
  for (int n = 0; are_open && owner != 0 && n < 3; n++) {
    if (streams[n] != null_device && fchown(streams[n], owner, owner)) are_open = 0;
  }
  return are_open;
}

void run_close_streams(const int streams[3]) {
  for (int n = 0; n < 3; n++) {
    int is_told = n > 0 && streams[n] == streams[0];
    if (streams[n] >= 0 && streams[n] != null_device && !is_told) close(streams[n]);
  }
}

void run_has_begun(struct run *run, pid_t leader) {
  run->state = RUN_EXECUTING;
  run->is_executed = 1;
  send_number(FRAME_STARTED, run->id, (uint32_t)leader);
  watch(&run->out, 1);
  watch(&run->err, 1);
  if (run->first_piece) write_input(run);
  else if (run->is_input_ended) end_input(run);
}

void run_is_off(struct run *run) {
  drop_input(run);
  close_stream(&run->out);
  close_stream(&run->err);
  cage_remove(&run->cage);
  remove_folder(run);
}

/* A sandbox has no leader that we could see: sandbox.c. */
static pid_t start_leader(struct run *run, const int streams[3], struct start_fault *fault) {
  struct start start = {
      .spec = &run->spec,
      .streams = {streams[0], streams[1], streams[2]},
      .has_terminal = run->spec.terminal != 0,
      .cage = run->cage.number ? cage_entries(&run->cage) : NULL,
      .has_walls = run->spec.is_process_level,
      .uid = run->uid,
  };
  return start_command(&start, fault);
}

void run_execute(struct run *run) {
  if (run->state != RUN_PREPARED) return;
  if (run->spec.is_sandbox_level) return sandbox_execute(run);
  int streams[3] = {-1, -1, -1};
  struct start_fault fault = {0};
  pid_t leader = -1;
  if (run->spec.has_nul) fault.error = EINVAL;
  else if (!run_open_streams(run, run->uid, streams)) fault.error = errno;
  else leader = start_leader(run, streams, &fault);
  run_close_streams(streams);
  if (leader < 0) {
    fault.is_interpreter = fault.error == ENOENT && !fault.is_folder && program_is_there(&run->spec);
    start_fault_words(&run->spec, &fault, &run->fault);
    return run_is_off(run);
  }
  run->leader = leader;
  run->order = ++starts;
  set_child(run, leader);
  run_has_begun(run, leader);
}

/* --- signals and the end --- */

void run_signal(struct run *run, int signal) {
  if (run->state != RUN_EXECUTING || signal <= 0) return;
  if (run->spec.is_sandbox_level) sandbox_signal(run, signal);
  else kill(-run->leader, signal);
}

void run_stop(struct run *run) {
  if (run->state == RUN_WAITING) sandbox_stop_waiting(run);
  if (run->state == RUN_PREPARED || run->state == RUN_WAITING) return run_is_off(run);
  if (run->state != RUN_EXECUTING || run->is_stopping) return;
  run->is_stopping = 1;
  run->kill_at = run->look_at = now_ms() + run->spec.grace_ms;
  if (run->spec.is_sandbox_level) return sandbox_stop(run);
  family_look();
  family_signal(run, SIGTERM);
  /* Those that were stopped hear TERM only once they go on. */
  family_signal(run, SIGCONT);
}

static void add_usage(struct run *run, const struct rusage *usage) {
  run->cpu_us += (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                 (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
  if ((uint64_t)usage->ru_maxrss > run->peak_kib) run->peak_kib = (uint64_t)usage->ru_maxrss;
}

void run_child_ended(struct run *run, int status, const struct rusage *usage) {
  set_child(run, 0);
  if (run->state == RUN_REMOVING) return finish(run);
  add_usage(run, usage);
  if (WIFSIGNALED(status)) run->exit_signal = WTERMSIG(status);
  else run->exit_code = WEXITSTATUS(status);
  run->state = RUN_CLEARING;
}

static void tell_not_ours(struct run *run) {
  char pids[512];
  family_not_ours(run, pids, sizeof pids);
  if (asprintf(&run->fault.detail,
               "It left processes of another user behind, which may not be ended from here: %s.", pids) < 0) {
    run->fault.detail = NULL;
  }
}

static void kill_left(struct run *run, uint64_t now) {
  uint32_t not_ours = family_signal(run, SIGKILL);
  if (run->state == RUN_CLEARING && not_ours > 0 && not_ours >= run->left) {
    tell_not_ours(run);
    family_forget(run);
    return run_has_ended(run);
  }
  run->pause_ms = run->pause_ms == 0 ? 1 : run->pause_ms >= LONGEST_PAUSE_MS / 2 ? LONGEST_PAUSE_MS : 2 * run->pause_ms;
  run->look_at = now + run->pause_ms;
}

static void clear(struct run *run, uint64_t now) {
  if (run->left == 0) {
    if (!family_is_blurred()) {
      family_forget(run);
      return run_has_ended(run);
    }
    run->look_at = now + 1;
    return;
  }
  if (run->spec.terminal && !run->is_hung_up && !run->is_stopping) {
    run->is_hung_up = 1;
    run->look_at = now + HANG_UP_MS;
    family_signal(run, SIGHUP);
    family_signal(run, SIGCONT);
    return;
  }
  if (run->is_hung_up && now < run->look_at) return;
  /* While it is being stopped, what outlives the leader has its grace too. */
  if (run->is_stopping && now < run->kill_at) run->look_at = run->kill_at;
  else kill_left(run, now);
}

int runs_tend(int has_news) {
  uint64_t now = now_ms(), next = UINT64_MAX;
  int has_looked = 0;
  for (struct run *run = first_run, *after; run; run = after) {
    after = run->next;
    int is_due = run->look_at != 0 && run->look_at <= now;
    int is_clearing = run->state == RUN_CLEARING;
    if (is_due || (has_news && is_clearing)) {
      if (!has_looked && run->state <= RUN_CLEARING && !run->spec.is_sandbox_level) {
        family_look();
        has_looked = 1;
      }
      if (run->spec.is_sandbox_level && run->state <= RUN_CLEARING) {
        if (is_due) sandbox_kill(run, now);
      } else if (is_clearing) clear(run, now);
      else if (run->state == RUN_DRAINING) go_on_draining(run);
      else if (run->is_stopping) kill_left(run, now);
    }
    if (run->state != RUN_OVER && run->look_at != 0 && run->look_at < next) next = run->look_at;
  }
  uint64_t sandboxes = sandbox_tend(now);
  if (sandboxes < next) next = sandboxes;
  if (next == UINT64_MAX) return -1;
  return next <= now ? 0 : next - now > 60000 ? 60000 : (int)(next - now);
}

#define ABANDON_PATIENCE_MS 10000

void runs_abandon(void) {
  sandbox_close();
  uint64_t give_up_at = now_ms() + ABANDON_PATIENCE_MS;
  for (;;) {
    family_kill_all();
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0) continue;
    if (ended < 0 || now_ms() > give_up_at) break;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  for (struct run *run = first_run; run; run = run->next) {
    cage_remove(&run->cage);
    folder_remove_all(run->spec.work_directory);
  }
  folders_let_go();
}
