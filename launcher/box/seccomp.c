/*
 * The wall around the kernel: a deny list, hand-assembled, as a balanced tree over ranges of numbers. The tree is not
 * for the commands' sake but for the load: the kernel compiles each box's filter anew and runs it once for every system
 * call number, and a plain list of this length costs it 0.3 ms, which is more than all the other walls together.
 */
#include "wire.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "Boxes know x86-64 and aarch64 only: the numbers of system calls differ elsewhere."
#endif

enum verdict { ALLOW, DENY, ABSENT, CHECK_CLONE, CHECK_UNSHARE, CHECK_IOCTL, CHECK_SOCKET, CHECK_SOCKETPAIR, CHECK_PERSONALITY, VERDICTS };

struct entry { uint32_t number; enum verdict verdict; };

#define FIRST_UNKNOWN 463 /* mseal is the last that we have looked at; libraries take ENOSYS for an older kernel */

static const struct entry listed[] = {
  /* Absent rather than denied: programs have another way, and take it at ENOSYS. clone3 hides its flags from us. */
  {435, ABSENT}, {425, ABSENT}, {426, ABSENT}, {427, ABSENT}, /* clone3, io_uring */
  {447, ABSENT}, {448, DENY}, /* memfd_secret, process_mrelease */
  {SYS_mq_open, ABSENT}, {SYS_mq_unlink, ABSENT}, /* queues would outlive their processes */
  {SYS_mq_timedsend, ABSENT}, {SYS_mq_timedreceive, ABSENT}, {SYS_mq_notify, ABSENT}, {SYS_mq_getsetattr, ABSENT},
  /* New namespaces and entering others. */
  {SYS_clone, CHECK_CLONE}, {SYS_unshare, CHECK_UNSHARE}, {SYS_setns, DENY},
  /* Mounts and roots, old and new. */
  {SYS_mount, DENY}, {SYS_umount2, DENY}, {SYS_pivot_root, DENY}, {SYS_chroot, DENY},
  {428, DENY}, {429, DENY}, {430, DENY}, {431, DENY}, {432, DENY}, {433, DENY}, {442, DENY}, /* open_tree .. fspick, mount_setattr */
  {457, DENY}, {458, DENY}, /* statmount, listmount */
  {SYS_name_to_handle_at, DENY}, {SYS_open_by_handle_at, DENY},
  {SYS_fanotify_init, DENY}, {SYS_fanotify_mark, DENY},
  {SYS_swapon, DENY}, {SYS_swapoff, DENY}, {SYS_quotactl, DENY}, {443, DENY}, /* quotactl_fd */
  /* Other processes. Debuggers do not work in a box. */
  {SYS_ptrace, DENY}, {SYS_process_vm_readv, DENY}, {SYS_process_vm_writev, DENY}, {SYS_kcmp, DENY},
  {438, DENY}, {440, DENY}, /* pidfd_getfd, process_madvise */
  /* Parts of the kernel with a history. */
  {SYS_bpf, DENY}, {SYS_perf_event_open, DENY}, {SYS_userfaultfd, DENY},
  {SYS_add_key, DENY}, {SYS_request_key, DENY}, {SYS_keyctl, DENY},
  {SYS_mbind, DENY}, {SYS_set_mempolicy, DENY}, {SYS_get_mempolicy, DENY}, {SYS_move_pages, DENY}, {SYS_migrate_pages, DENY},
  {450, DENY}, {SYS_lookup_dcookie, DENY}, {SYS_nfsservctl, DENY}, {459, DENY}, {460, DENY}, {461, DENY}, /* lsm_* */
  {SYS_remap_file_pages, DENY}, {SYS_vhangup, DENY},
  /* The machine itself. */
  {SYS_init_module, DENY}, {SYS_finit_module, DENY}, {SYS_delete_module, DENY}, {SYS_kexec_load, DENY},
  {SYS_kexec_file_load, DENY}, {SYS_reboot, DENY}, {SYS_syslog, DENY}, {SYS_acct, DENY},
  {SYS_settimeofday, DENY}, {SYS_clock_settime, DENY}, {SYS_clock_adjtime, DENY}, {SYS_adjtimex, DENY},
  {SYS_sethostname, DENY}, {SYS_setdomainname, DENY},
  {SYS_ioctl, CHECK_IOCTL}, {SYS_socket, CHECK_SOCKET}, {SYS_socketpair, CHECK_SOCKETPAIR},
  {SYS_personality, CHECK_PERSONALITY},
#if defined(__x86_64__)
  {SYS_iopl, DENY}, {SYS_ioperm, DENY}, {SYS_modify_ldt, DENY}, {SYS_uselib, DENY}, {SYS_ustat, DENY}, {SYS_sysfs, DENY},
  {SYS__sysctl, DENY}, {SYS_create_module, DENY}, {SYS_query_module, DENY}, {SYS_get_kernel_syms, DENY},
  {SYS_getpmsg, DENY}, {SYS_putpmsg, DENY}, {SYS_afs_syscall, DENY}, {SYS_tuxcall, DENY}, {SYS_security, DENY}, /* join two ranges */
  {SYS_vserver, DENY},
#endif
};
enum { LISTED = sizeof listed / sizeof *listed };

static struct entry sorted[LISTED + 1];
static int entries = LISTED;
static struct entry ranges[2 * LISTED + 3]; /* from this number to the next one's, all have the same verdict */
static int range_count;
static struct sock_filter program[512];
static unsigned length;
static unsigned from[VERDICTS][LISTED + 1], uses[VERDICTS]; /* the jumps to each check, to be filled in at the end */

#define NUMBER offsetof(struct seccomp_data, nr)
#define ARCH offsetof(struct seccomp_data, arch)
#define ARG(n) (offsetof(struct seccomp_data, args) + (n) * 8) /* the low half: both machines are little-endian */
#define RETURN_ERRNO(e) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (e))
#define RETURN_ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define LOAD(where) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, where)
#define EQUALS(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, yes, no)
#define AT_LEAST(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, k, yes, no)
#define ANY_BIT(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, k, yes, no)

static void put(struct sock_filter instruction) { program[length++] = instruction; }

#define PUT(...) put((struct sock_filter)__VA_ARGS__)

static void put_verdict(enum verdict verdict) {
  if (verdict == ALLOW) PUT(RETURN_ALLOW);
  else if (verdict == DENY) PUT(RETURN_ERRNO(EPERM));
  else if (verdict == ABSENT) PUT(RETURN_ERRNO(ENOSYS));
  else {
    from[verdict][uses[verdict]++] = length;
    PUT(BPF_STMT(BPF_JMP | BPF_JA, 0));
  }
}

/* Numbers of the left half fall through: conditional jumps of this machine reach 255 instructions, a half has fewer. */
static int put_tree(int low, int high) {
  if (high - low == 1) {
    put_verdict(ranges[low].verdict);
    return 0;
  }
  int middle = (low + high) / 2;
  unsigned fork = length++;
  if (put_tree(low, middle)) return E2BIG;
  unsigned left = length - fork - 1;
  if (left > 255) return E2BIG;
  program[fork] = (struct sock_filter)AT_LEAST(ranges[middle].number, (unsigned char)left, 0);
  return put_tree(middle, high);
}

static void find_ranges(void) {
  ranges[range_count++] = (struct entry){0, ALLOW};
  for (int i = 0; i < entries; i++) {
    struct entry *last = &ranges[range_count - 1];
    int follows = i > 0 && sorted[i].number == sorted[i - 1].number + 1;
    if (follows && sorted[i].verdict == sorted[i - 1].verdict) continue;
    if (!follows && i > 0) ranges[range_count++] = (struct entry){sorted[i - 1].number + 1, ALLOW};
    last = &ranges[range_count - 1];
    if (last->number == sorted[i].number) last->verdict = sorted[i].verdict;
    else ranges[range_count++] = sorted[i];
  }
  ranges[range_count++] = (struct entry){sorted[entries - 1].number + 1, ALLOW};
}

static void land(enum verdict v) {
  for (unsigned i = 0; i < uses[v]; i++) program[from[v][i]].k = length - from[v][i] - 1;
}

static int by_number(const void *a, const void *b) {
  uint32_t x = ((const struct entry *)a)->number, y = ((const struct entry *)b)->number;
  return x < y ? -1 : x > y;
}

#define NEW_NAMESPACES 0x7e020000u /* user, pid, net, ipc, uts, cgroup, mount */
#define NEW_TIME 0x80u             /* of unshare only: clone has an exit signal there */

int seccomp_build(void) {
  for (int i = 0; i < LISTED; i++) sorted[i] = listed[i];
  /* Files without a name hold memory that no look at the box would find: see watch.c. */
  if (!maker.report.cgroups) sorted[entries++] = (struct entry){SYS_memfd_create, ABSENT};
  qsort(sorted, (size_t)entries, sizeof *sorted, by_number);
  PUT(LOAD(ARCH));
  PUT(EQUALS(THIS_ARCH, 1, 0));
  PUT(RETURN_ERRNO(ENOSYS)); /* i386 on x86-64, 32-bit arm on aarch64 */
  PUT(LOAD(NUMBER));
  PUT(AT_LEAST(FIRST_UNKNOWN, 0, 1)); /* x32 as well: its numbers start at 2^30 */
  PUT(RETURN_ERRNO(ENOSYS));
  find_ranges();
  if (put_tree(0, range_count)) return E2BIG;

  land(CHECK_CLONE);
  PUT(LOAD(ARG(0)));
  PUT(ANY_BIT(NEW_NAMESPACES, 0, 1));
  PUT(RETURN_ERRNO(EPERM));
  PUT(RETURN_ALLOW);

  land(CHECK_UNSHARE);
  PUT(LOAD(ARG(0)));
  PUT(ANY_BIT(NEW_NAMESPACES | NEW_TIME, 0, 1));
  PUT(RETURN_ERRNO(EPERM));
  PUT(RETURN_ALLOW);

  land(CHECK_IOCTL);
  PUT(LOAD(ARG(1)));
  PUT(EQUALS(TIOCSTI, 3, 0));
  PUT(EQUALS(0x541c /* TIOCLINUX */, 2, 0));
  PUT(EQUALS(TIOCSETD, 1, 0));
  PUT(EQUALS(0x541d /* TIOCCONS */, 0, 1));
  PUT(RETURN_ERRNO(EPERM));
  PUT(RETURN_ALLOW);

  land(CHECK_SOCKET);
  PUT(LOAD(ARG(0)));
  PUT(EQUALS(AF_UNIX, 0, 1));
  PUT(RETURN_ALLOW);
  PUT(EQUALS(AF_INET, 5, 0));
  PUT(EQUALS(AF_INET6, 4, 0));
  PUT(EQUALS(AF_NETLINK, 0, 2)); /* NETLINK_ROUTE alone: getifaddrs, and so Node's networkInterfaces() */
  PUT(LOAD(ARG(2)));
  PUT(EQUALS(0, 9, 0));
  PUT(RETURN_ERRNO(EAFNOSUPPORT));
  /* Any other protocol would have the kernel look for a module. */
  PUT(LOAD(ARG(2)));
  PUT(EQUALS(0, 6, 0));
  PUT(EQUALS(1, 5, 0));   /* ICMP */
  PUT(EQUALS(6, 4, 0));   /* TCP */
  PUT(EQUALS(17, 3, 0));  /* UDP */
  PUT(EQUALS(58, 2, 0));  /* ICMPv6 */
  PUT(EQUALS(262, 1, 0)); /* MPTCP */
  PUT(RETURN_ERRNO(EPROTONOSUPPORT));
  PUT(RETURN_ALLOW);

  land(CHECK_SOCKETPAIR);
  PUT(LOAD(ARG(0)));
  PUT(EQUALS(AF_UNIX, 1, 0));
  PUT(RETURN_ERRNO(EAFNOSUPPORT));
  PUT(RETURN_ALLOW);

  land(CHECK_PERSONALITY);
  PUT(LOAD(ARG(0)));
  PUT(EQUALS(0, 3, 0));
  PUT(EQUALS(0x40000 /* ADDR_NO_RANDOMIZE */, 2, 0));
  PUT(EQUALS(0xffffffff, 1, 0));
  PUT(RETURN_ERRNO(EPERM));
  PUT(RETURN_ALLOW);
  return 0;
}

int seccomp_load(void) {
  struct sock_fprog filter = {(unsigned short)length, program};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) ? errno : 0;
}
