/*
 * System V shared memory, semaphores and messages outlive their processes, so a slot keeps its IPC namespace only while
 * none is left in it. POSIX queues are refused by the seccomp filter; POSIX shared memory is files of /dev/shm.
 */
#include "wire.h"
#include <errno.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int ipc_renew(void) { return unshare(CLONE_NEWIPC) ? errno : 0; }

int ipc_is_as_new(void) {
  struct shm_info memory;
  struct seminfo semaphores;
  struct msginfo messages;
  union { int value; struct seminfo *info; } argument = {.info = &semaphores};
  return shmctl(0, SHM_INFO, (struct shmid_ds *)&memory) >= 0 && semctl(0, 0, SEM_INFO, argument) >= 0 &&
         msgctl(0, MSG_INFO, (struct msqid_ds *)&messages) >= 0 && memory.used_ids == 0 && semaphores.semusz == 0 && messages.msgpool == 0;
}
