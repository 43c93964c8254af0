/* The folder that a command is given to work in. */
#ifndef ERRAND_FOLDER_H
#define ERRAND_FOLDER_H

#include <stdint.h>
#include <sys/types.h>

/** Makes it, empty and for one user alone: `owner`, or us (0). 0, or an errno. */
int folder_make(const char *path, uid_t owner);

/** Removes it where that takes no time: 1. 0: call folder_remove_all, in a process of its own. */
int folder_remove(const char *path);

/**
 * As folder_remove, of one that is ours; where it is as good as new, it is kept under another name for the next that is made beside
 * it. To make and remove a folder can take the disk as long as the start of a program takes the processor. Also removes what
 * launchers that are gone had kept there; looks again a second later (`now` is in ms) while others live.
 */
int folder_recycle(const char *path, uint64_t now);

/** Removes what was kept. */
void folders_let_go(void);

/**
 * Removes it with all in it, however much that is and however deep. Follows no symbolic link. What the command made unreadable is
 * made readable first. What cannot be removed stays.
 */
void folder_remove_all(const char *path);

#endif
