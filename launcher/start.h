/* The start of a command: a process that shares our memory until it executes the program. */
#ifndef ERRAND_START_H
#define ERRAND_START_H

#include "spec.h"

#include <sys/types.h>

struct start {
  const struct spec *spec;
  int streams[3];           /* the command's ends, which stay ours */
  int has_terminal;         /* they are one: it becomes the controlling terminal of the command's session */
  const char *const *cage;  /* files that it writes itself into, NULL behind the last; or NULL */
  int has_walls;            /* isolation `process`: no new privileges, limits */
  uid_t uid;                /* with walls: the user it becomes, also its group; 0: who we are */
};

struct start_fault {
  int error;
  int is_walls;  /* it is the limits or the user that could not be had */
  int is_folder; /* it is the folder that could not be worked in */
  int is_interpreter; /* the program is there; what its first line names is not */
};

/** The process id, also that of its session and group; or -1 and why. Nothing was executed then. */
pid_t start_command(const struct start *start, struct start_fault *fault);

#endif
