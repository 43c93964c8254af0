/*
 * The launcher: a small process that starts commands for the server, as starting them from a process that has grown is
 * slow. Speaks frames over its standard input and output. When its input ends, the server is gone, and so must be all
 * that it started. README.md beside this file tells more.
 */
#define _GNU_SOURCE
#include "family.h"
#include "frames.h"
#include "inheritance.h"
#include "poller.h"
#include "run.h"
#include "sandbox.h"
#include "tty.h"
#include "walls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 128
/* Starts between two looks at those that have ended. */
#define STARTS_AT_ONCE 8

static int poller = -1, child_signals = -1;

void poller_add(int fd, void *source, int is_output) {
  struct epoll_event event = {.events = is_output ? EPOLLOUT : EPOLLIN, .data.ptr = source};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) abort();
}

void poller_remove(int fd) {
  epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
}

static const char *open_all(int is_served) {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) return "this kernel has no subreapers";
  if (!family_open()) return "/proc does not tell a process its children";
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  child_signals = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (child_signals < 0 || poller < 0) return strerror(errno);
  poller_add(child_signals, &child_signals, 0);
  if (!is_served) return NULL;
  struct epoll_event input = {.events = EPOLLIN, .data.ptr = &poller};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input)) return "its input is not a pipe";
  return NULL;
}

/* 0: what was said cannot be understood. */
static int hear(const struct frame *frame, int *starts) {
  struct run *run = run_find(frame->run);
  switch (frame->kind) {
    case FRAME_PREPARE:
      if (run) return 0;
      run_prepare(frame->run, frame->payload, frame->length);
      return 1;
    case FRAME_CREDIT:
      if (frame->length != 4) return 0;
      if (run) run_credit(run, read_u32(frame->payload));
      return 1;
    case FRAME_EXECUTE:
      ++*starts;
      if (run) run_execute(run);
      return 1;
    case FRAME_STDIN:
      if (run) run_stdin(run, frame->payload, frame->length);
      return 1;
    case FRAME_STDIN_END:
      if (run) run_stdin_end(run);
      return 1;
    case FRAME_SIGNAL:
      if (run) run_signal(run, signal_number((const char *)frame->payload, frame->length));
      return 1;
    case FRAME_STOP:
      if (run) run_stop(run);
      return 1;
    case FRAME_RESIZE:
      if (frame->length != 4) return 0;
      if (run) run_resize(run, read_u32(frame->payload));
      return 1;
    default: return 0;
  }
}

/* 1 when a child has ended. */
static int reap(void) {
  int has_news = 0, status;
  struct rusage usage;
  for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &usage)) > 0; has_news = 1) {
    struct run *run = run_of_child(pid);
    if (run) run_child_ended(run, status, &usage);
    else family_child_ended(pid, &usage);
  }
  return has_news;
}

static _Noreturn void leave(int status) {
  runs_abandon();
  exit(status);
}

static void serve(void) {
  int has_frames = 0, wait_ms = 0;
  for (;;) {
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(poller, events, EVENTS_AT_ONCE, has_frames ? 0 : wait_ms);
    int has_input = 0, has_ended = 0;
    for (int n = 0; n < count; n++) {
      void *source = events[n].data.ptr;
      if (source == &poller) has_input = 1;
      else if (source == &child_signals) has_ended = 1;
      else if (source == sandbox_source()) sandbox_ready();
      else stream_ready(source);
    }
    if (has_ended) {
      struct signalfd_siginfo told[8];
      while (read(child_signals, told, sizeof told) > 0) continue;
    }
    if (has_input && !has_frames && !input_fill()) leave(0);
    int starts = 0, found = 0;
    struct frame frame;
    while (starts < STARTS_AT_ONCE && (found = input_next(&frame)) > 0) {
      if (!hear(&frame, &starts)) found = -1;
      if (found < 0) break;
    }
    if (found < 0) leave(2);
    has_frames = starts == STARTS_AT_ONCE;
    wait_ms = runs_tend(reap());
    if (!output_flush()) leave(0);
    runs_free_over();
  }
}

/* ready: what we speak, what can be given, and why there is no sandbox where one was asked for. */
static void tell_ready(void) {
  uint8_t ready[1024];
  const char *why = "";
  uint32_t abilities = walls_open();
  if (tty_is_given()) abilities |= ABLE_TERMINALS;
  if (sandbox_is_asked_for()) abilities |= sandbox_try(&why);
  size_t length = strlen(why);
  if (length > sizeof ready - 12) length = sizeof ready - 12;
  write_u32(ready, PROTOCOL);
  write_u32(ready + 4, abilities);
  write_u32(ready + 8, (uint32_t)length);
  memcpy(ready + 12, why, length);
  send_frame(FRAME_READY, 0, ready, 12 + length);
}

int main(int argc, char **argv) {
  sandbox_maker_main(argc, argv);
  int is_report = argc > 1 && strcmp(argv[1], "report") == 0;
  if (!sandbox_configure(argc - is_report, argv + is_report)) {
    fprintf(stderr, "errand-launcher: unknown arguments\n");
    return 2;
  }
  clean_up_inheritance();
  const char *fault = open_all(!is_report);
  if (fault) {
    fprintf(stderr, "errand-launcher: %s\n", fault);
    return 3;
  }
  if (is_report) {
    walls_open();
    return sandbox_report();
  }
  tell_ready();
  if (!output_flush()) return 0;
  serve();
}
