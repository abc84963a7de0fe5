/* SPDX-License-Identifier: Apache-2.0
 *
 * A PKCS #11 module in front of another one: passes every call on, counts it, and goes wrong where a test says so.
 *
 *   P11_SHIM_MODULE    the module behind it
 *   P11_SHIM_CONTROL   file of sizeof(struct control) bytes, mapped by whoever runs the test as well
 *
 * The function list is version (2 bytes, padded) and 68 pointers in the order of PKCS #11 v2.40, 3.6 and its header.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define FUNCTIONS 68
#define CKR_GENERAL_ERROR 5UL

enum { PASS, REFUSE, FAIL_AFTER, HANG, CRASH, WRONG, EMPTY };
enum { INITIALIZE = 0, SLOT_LIST = 4, TOKEN_INFO = 6, MECHANISMS = 7, OPEN = 12, LOGIN = 18, READ = 24, FIND = 26,
       FIND_NEXT = 27, SIGN_INIT = 42, SIGN = 43 };

typedef unsigned long rv_t;
typedef unsigned long word;
typedef unsigned char byte;

struct entry {
    volatile uint64_t action, value, left, calls, done;
};
struct control {
    struct entry entries[FUNCTIONS];
    volatile uint64_t slots, latency, ready;
    sem_t free;
};
struct functions {
    byte major, minor;
    void *at[FUNCTIONS];
};

static struct control *control;
static struct functions real, ours;

/* The action for this call: those with `left` set end by themselves after so many calls. */
static uint64_t action_of(int which)
{
    struct entry *entry = &control->entries[which];
    __atomic_add_fetch(&entry->calls, 1, __ATOMIC_SEQ_CST);
    uint64_t action = entry->action;
    if (action != PASS && entry->left != 0 && __atomic_sub_fetch(&entry->left, 1, __ATOMIC_SEQ_CST) == 0)
        entry->action = PASS;
    if (action == HANG)
        while (entry->action == HANG)
            usleep(2000);
    if (action == CRASH)
        raise(SIGSEGV);
    return action;
}

static rv_t ended(int which, uint64_t action, rv_t rv)
{
    struct entry *entry = &control->entries[which];
    if (rv == 0)
        __atomic_add_fetch(&entry->done, 1, __ATOMIC_SEQ_CST);
    return action == FAIL_AFTER ? (rv_t)entry->value : rv;
}

/* The time that the device takes, on one of its slots: no CPU, as a real device takes none of this machine. */
static void take_time(void)
{
    if (control->latency == 0)
        return;
    while (sem_wait(&control->free) != 0)
        ;
    struct timespec time = {(time_t)(control->latency / 1000000000), (long)(control->latency % 1000000000)};
    while (nanosleep(&time, &time) != 0)
        ;
    sem_post(&control->free);
}

#define WRAP(name, which, type, names, ...)                                                                            \
    static rv_t name type                                                                                              \
    {                                                                                                                  \
        uint64_t value = control->entries[which].value, action = action_of(which);                                     \
        if (action == REFUSE)                                                                                          \
            return (rv_t)value;                                                                                        \
        return ended(which, action, ((rv_t(*) names)real.at[which])(__VA_ARGS__));                                     \
    }

WRAP(initialize, INITIALIZE, (void *a), (void *), a)
WRAP(slot_list, SLOT_LIST, (byte a, word *b, word *c), (byte, word *, word *), a, b, c)
WRAP(token_info, TOKEN_INFO, (word a, void *b), (word, void *), a, b)
WRAP(mechanisms, MECHANISMS, (word a, word *b, word *c), (word, word *, word *), a, b, c)
WRAP(open_session, OPEN, (word a, word b, void *c, void *d, word *e), (word, word, void *, void *, word *), a, b, c, d, e)
WRAP(login, LOGIN, (word a, word b, byte *c, word d), (word, word, byte *, word), a, b, c, d)
WRAP(read_value, READ, (word a, word b, void *c, word d), (word, word, void *, word), a, b, c, d)
WRAP(find, FIND, (word a, void *b, word c), (word, void *, word), a, b, c)
WRAP(find_next, FIND_NEXT, (word a, word *b, word c, word *d), (word, word *, word, word *), a, b, c, d)
WRAP(sign_init, SIGN_INIT, (word a, void *b, word c), (word, void *, word), a, b, c)

static rv_t sign(word session, byte *data, word size, byte *signature, word *length)
{
    rv_t (*pass)(word, byte *, word, byte *, word *) = (rv_t(*)(word, byte *, word, byte *, word *))real.at[SIGN];
    /* Asked for the length alone: modules answer that without their device. */
    if (signature == NULL)
        return pass(session, data, size, signature, length);
    uint64_t value = control->entries[SIGN].value, action = action_of(SIGN);
    if (action == REFUSE)
        return (rv_t)value;
    rv_t rv = pass(session, data, size, signature, length);
    if (rv != 0)
        return rv;
    take_time();
    if (action == WRONG)
        signature[*length - 1] ^= 1;
    if (action == EMPTY)
        *length = 0;
    return ended(SIGN, action, rv);
}

static int attach(void)
{
    int file = open(getenv("P11_SHIM_CONTROL"), O_RDWR);
    if (file < 0)
        return 0;
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (control == MAP_FAILED)
        return 0;
    uint64_t nobody = 0;
    if (__atomic_compare_exchange_n(&control->ready, &nobody, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        sem_init(&control->free, 1, (unsigned)control->slots);
        control->ready = 2;
    }
    while (control->ready != 2)
        usleep(100);
    /* A sleep of 10 ms is one of 10 ms. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    return 1;
}

rv_t C_GetFunctionList(struct functions **list)
{
    void *module = dlopen(getenv("P11_SHIM_MODULE"), RTLD_NOW | RTLD_LOCAL);
    rv_t (*get)(struct functions **) = module ? (rv_t(*)(struct functions **))dlsym(module, "C_GetFunctionList") : NULL;
    struct functions *found = NULL;
    if (get == NULL || get(&found) != 0 || !attach())
        return CKR_GENERAL_ERROR;
    real = ours = *found;
    ours.at[INITIALIZE] = initialize;
    ours.at[SLOT_LIST] = slot_list;
    ours.at[TOKEN_INFO] = token_info;
    ours.at[MECHANISMS] = mechanisms;
    ours.at[OPEN] = open_session;
    ours.at[LOGIN] = login;
    ours.at[READ] = read_value;
    ours.at[FIND] = find;
    ours.at[FIND_NEXT] = find_next;
    ours.at[SIGN_INIT] = sign_init;
    ours.at[SIGN] = sign;
    *list = &ours;
    return 0;
}
