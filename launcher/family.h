/*
 * The processes of runs. This process is the subreaper of all of them (prctl(2)): whoever loses its parent becomes a child of ours,
 * whatever session it made. So a run is gone when its leader has ended and none of our children is its.
 */
#ifndef ERRAND_FAMILY_H
#define ERRAND_FAMILY_H

#include "run.h"

/** 0 when this kernel does not tell us our children. */
int family_open(void);

/** Looks at our children, and counts in run->left those that are left of each run. */
void family_look(void);

/** Some of them could not be told yet: they were just executing another program. */
int family_is_blurred(void);

/** Sends to each process of a run once. Returns how many it may not be sent to, as they are another user's. */
uint32_t family_signal(struct run *run, int signal);

/** The process ids of those, for a person. */
void family_not_ours(const struct run *run, char *text, size_t room);

/** A child that is not known to be a leader has ended. */
void family_child_ended(pid_t pid, const struct rusage *usage);

/** A run is over: nothing is its any more. */
void family_forget(struct run *run);

/** A child of ours that is no run's, such as who makes sandboxes; until it has ended. */
void family_set_apart(pid_t pid);

/** Kills all that this process ever started and that is still there. */
void family_kill_all(void);

#endif
