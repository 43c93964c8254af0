#define _GNU_SOURCE
#include "inheritance.h"

#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_DESCRIPTORS 65536

void close_inherited(void) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0) return;
#endif
  long most = sysconf(_SC_OPEN_MAX);
  if (most < 0 || most > MOST_DESCRIPTORS) most = MOST_DESCRIPTORS;
  for (int fd = 3; fd < most; fd++) close(fd);
}

void clean_up_inheritance(void) {
  close_inherited();
  struct sigaction usual = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++) sigaction(number, &usual, NULL);
  /* Only the end of our input ends us: we have to clean up behind whoever is gone. Faults of our own stay deadly. */
  sigset_t blocked;
  sigfillset(&blocked);
  const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
  for (size_t n = 0; n < sizeof faults / sizeof *faults; n++) sigdelset(&blocked, faults[n]);
  sigprocmask(SIG_SETMASK, &blocked, NULL);
}
