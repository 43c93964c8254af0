/* A run: prepared first, executed when it is told to, and told as ended once all of it is gone. */
#ifndef ERRAND_RUN_H
#define ERRAND_RUN_H

#include "faults.h"
#include "frames.h"
#include "spec.h"
#include "walls.h"

#include <stdint.h>
#include <sys/resource.h>

enum run_state {
  RUN_PREPARED,
  RUN_WAITING, /* told to execute; no sandbox is free yet */
  RUN_EXECUTING,
  RUN_CLEARING, /* the leader has ended; what it left behind is being ended */
  RUN_DRAINING, /* all of it is gone; what it wrote is passed on */
  RUN_REMOVING, /* its folder is being removed */
  RUN_OVER,     /* told; freed at the end of this turn */
};

struct run;

/* One of our ends of a command's pipes, as epoll names it. */
struct stream {
  struct run *run;
  int fd; /* -1: closed */
  uint8_t kind;
  uint8_t is_watched;
};

/* Input that the command has not taken yet. */
struct piece {
  struct piece *next;
  uint32_t at, length;
  uint8_t bytes[];
};

struct run {
  uint32_t id;
  enum run_state state;
  struct spec spec;
  pid_t child;        /* the leader, then the process that removes the folder; 0: none */
  pid_t leader;       /* stays, as the number of its session and group */
  uint64_t order;     /* of starts; 0: not started */
  struct run *next_by_id, *next_by_child;
  struct run *next, *previous; /* of all runs */

  struct stream in, out, err;
  int64_t window;
  struct piece *first_piece, *last_piece;
  int is_input_ended;
  uint64_t moved_at; /* when output was last read or taken */

  int is_stopping, is_killing, is_executed, is_hung_up;
  uint64_t kill_at, look_at; /* look_at 0: nothing is due */
  uint32_t pause_ms;
  uint32_t left; /* processes of it that are children of ours, the leader aside */
  uint32_t not_ours;
  struct known *known;
  uint32_t known_count, known_room;

  int exit_code, exit_signal;
  struct fault fault;
  uint64_t cpu_us, peak_kib;

  uid_t uid; /* its own; 0: ours */
  struct cage cage;
  int is_out_of_memory;

  int box;                  /* its sandbox; -1: none */
  struct run *next_waiting; /* for one */
};

struct run *run_find(uint32_t id);
struct run *run_of_child(pid_t pid);
struct run *runs_first(void);

void run_prepare(uint32_t id, const uint8_t *payload, size_t length);
void run_execute(struct run *run);
void run_stdin(struct run *run, const uint8_t *bytes, size_t length);
void run_stdin_end(struct run *run);
void run_credit(struct run *run, uint32_t bytes);
void run_signal(struct run *run, int signal);
void run_stop(struct run *run);
/** Its terminal has so many rows << 16 | columns now. */
void run_resize(struct run *run, uint32_t size);

/** Opens pipes, and tells the command's ends of them, which `owner` may open by name (0: us). 0: errno tells why not. */
int run_open_streams(struct run *run, uid_t owner, int streams[3]);
void run_close_streams(const int streams[3]);

/** It executes: what it writes is passed on from now. `leader` 0: not in sight. */
void run_has_begun(struct run *run, pid_t leader);

/** All of it is gone: passes on what is left in its pipes, and tells its end. */
void run_has_ended(struct run *run);

/** Nothing was executed, for the reason that is in `run->fault`; or as it was stopped. */
void run_is_off(struct run *run);

/** A pipe of it can be read or written. */
void stream_ready(struct stream *stream);

/** Its child has ended. */
void run_child_ended(struct run *run, int status, const struct rusage *usage);

/** Does what is due. Returns how long nothing will be, in milliseconds; -1: for ever. */
int runs_tend(int has_news);
void runs_free_over(void);

/** The server is gone: kills all that was started, and removes the folders. */
void runs_abandon(void);

uint64_t now_ms(void);

#endif
