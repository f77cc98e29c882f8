/*
 * The gate on several nodes: opening, suspension, lease, crash, freeze, restoration. Checked by spin; `make model` runs it.
 *
 * What is modelled, and which function each line stands for, is told in ../DESIGN.md. In short: N nodes share a
 * store of atomic transactions and a bus that loses, delays, repeats and reorders. One vendor is suspended and restored,
 * epoch by epoch; another is never. Odd epochs are active, even ones suspended. Every step below is one thing that the code
 * does without anybody seeing the middle of it; between any two steps a node may crash, be frozen, or lose store and bus.
 *
 * Time is counted in units and only as ages: of the last reading of the store that a node knows of, and of the last
 * suspension. Ages stop at the first value at which nothing changes any more, so time itself has no end.
 *
 * -DBREAK_x takes one rule away. Each of them must make spin find an error.
 */
#ifndef N
#define N 2 /* nodes */
#endif
#ifndef TOP
#define TOP 4 /* the last epoch: suspended, restored, suspended again */
#endif
#ifndef LEASE
#define LEASE 2 /* units */
#endif

#ifdef ONE_ORDERS /* a smaller search: one node orders; any node that comes back carries out what was left */
#define MAY_ORDER(i) ((i) == 0)
#else
#define MAY_ORDER(i) true
#endif
#define ORDERS ((TOP) / 2)
#define ORDER_OF(e) (((e) >> 1) - 1) /* the order that set epoch e */
#define OUTDATED_BY(g) ((g) >> 1)    /* the order that shut out grants of epoch g */
#define ACTIVE(e) ((e) % 2)

/* life of a node */
#define DOWN 0
#define RUNS 1
#define FROZEN 2 /* SIGSTOP: its sockets stay, nothing of it moves */

/* the one session that a node has room for */
#define NONE 0
#define FIRST 1      /* touch consumed, vendor active: transaction 1 */
#define WRITTEN 2    /* recorder runs, epoch held, row and event durable: transaction 2 */
#define REGISTERED 3 /* a sweep finds it from here on */
#define SECOND 4     /* epoch held once more: transaction 3 */
#define LIVE 5
#define WRITING 6  /* looked at the flag and at the lease, not written yet */
#define COLD 7     /* the same, and the node was frozen in between */
#define STOPPING 8 /* a sweep has found it; its sockets are being closed */
#define OTHER 9    /* a live session of the other vendor */

/* where a node stands with the order that it carries out */
#define IDLE 0
#define COMMITTED 1
#define MARKED 2
#define SWEPT 3
#define PUBLISHED 4

/* reports */
#define NOREPORT 0
#define PENDING 1
#define PASS 2

typedef Node {
	unsigned life : 2;
	unsigned slot : 4;
	unsigned g : 3;    /* epoch of the grant behind the session */
	unsigned age : 3;  /* of what the node knows of the store */
	unsigned asks : 1; /* a reading is under way */
	unsigned snap : 3; /* what it will answer */
	unsigned asked : 3; /* how long ago it was asked */
	unsigned pc : 3;
	unsigned what : 1;
	unsigned hears : 1; /* between marking and answering */
	unsigned heard : 1; /* which order */
	bit swept[ORDERS];  /* has swept for the order: its answer may be collected, now or ever */
};

Node n[N];

/* the store */
unsigned epoch : 3 = 1;
unsigned report0 : 2 = NOREPORT;
unsigned report1 : 2 = NOREPORT;
/* the bus: what was ever published may be heard by anybody, at any time, again and again, or never */
bit pub[ORDERS];
/* how long ago the last suspension became durable; a report that says PENDING names LEASE from then, or later */
unsigned since : 3 = 0;

#define REPORT(o) (o == 0 -> report0 : report1)

inline file(o, v) {
	if
	:: o == 0 -> report0 = v
	:: else -> report1 = v
	fi
}

#if defined(BREAK_resume) || defined(BREAK_lease_at_poll)
#define AGE_MAX (LEASE + 1)
#else
#define AGE_MAX LEASE
#endif
#define SINCE_MAX (LEASE + 1)

/* BREAK_resume: the timer ends what is over, but a write does not look, and a node that was frozen writes before its timer runs. */
#ifdef BREAK_resume
#define LEASE_HOLDS(i) (n[i].age != LEASE)
#else
#define LEASE_HOLDS(i) (n[i].age < LEASE)
#endif

/* BREAK_register_late: the session is registered after the second look. */
#ifdef BREAK_register_late
#define FOUND(s) ((s) >= LIVE && (s) <= COLD)
#else
#define FOUND(s) ((s) >= REGISTERED && (s) <= COLD)
#endif

/* BREAK_sweep_all: a sweep does not look whose session it is. */
#ifdef BREAK_sweep_all
#define HIT(s) (FOUND(s) || (s) == OTHER)
#else
#define HIT(s) (FOUND(s))
#endif

#define OPEN_SOCKETS(s) ((s) >= LIVE && (s) <= STOPPING)
#define PASSES(s) ((s) >= LIVE && (s) <= COLD)
#define CLOSABLE(s) ((s) >= REGISTERED)

/* the session's epoch against the store's: epochsHold */
#ifdef BREAK_old_grant
#define HOLDS(e) (ACTIVE(epoch))
#else
#define HOLDS(e) (ACTIVE(epoch) && (e) == epoch)
#endif

inline gone(i) { n[i].slot = NONE; n[i].g = 0 }

/* a sweep of the vendor that nobody answers for */
inline sweep(i) {
	if
	:: HIT(n[i].slot) ->
		assert(n[i].slot != OTHER); /* (4) */
		gone(i)
	:: else
	fi
}

/* a sweep that will be answered for: first what is registered is told to stop ... */
inline mark(i) {
	if
	:: HIT(n[i].slot) ->
		assert(n[i].slot != OTHER); /* (4) */
		if
		:: PASSES(n[i].slot) -> n[i].slot = STOPPING
		:: else -> gone(i) /* nothing is attached to it yet */
		fi
	:: else
	fi
}

/* ... then its sockets are closed, and that is the answer */
inline answer(i, o) {
	if
	:: n[i].slot == STOPPING -> gone(i)
	:: else
	fi;
	n[i].swept[o] = 1;
	assert(!(PASSES(n[i].slot) && OUTDATED_BY(n[i].g) <= o)) /* (2) */
}

/* the lease is over: everybody is ended, the other vendor too */
inline lapse(i) {
	if
	:: CLOSABLE(n[i].slot) -> gone(i)
	:: else
	fi
}

/* one byte, in either direction */
inline pass_byte(i) {
	if
	:: n[i].g != epoch ->
		assert(REPORT(OUTDATED_BY(n[i].g)) != PASS); /* (1) */
#ifndef LIMIT_write
		if
		:: n[i].slot == COLD /* one write that was under way when the node was frozen; ../DESIGN.md tells why */
		:: else ->
#endif
			assert(n[i].g + 1 == epoch); /* (2): nothing after a restoration */
			assert(since < LEASE)        /* (3): nothing after the end of the lease */
#ifndef LIMIT_write
		fi
#endif
	:: else
	fi
}

/* BREAK_members: only the nodes that the bus knows of are waited for. BREAK_answer_unbound: an answer to an older order is taken for one to this. */
#if defined(BREAK_members)
#define ANSWERED(k, o) (n[k].swept[o] || n[k].life != RUNS)
#elif defined(BREAK_answer_unbound)
#define ANSWERED(k, o) (n[k].swept[o] || n[k].swept[0])
#else
#define ANSWERED(k, o) (n[k].swept[o])
#endif
#if N == 2
#define ALL_ANSWERED(o) (ANSWERED(0, o) && ANSWERED(1, o))
#else
#define ALL_ANSWERED(o) (ANSWERED(0, o) && ANSWERED(1, o) && ANSWERED(2, o))
#endif

inline nothing_passes(o) {
	for (k : 0 .. N - 1) {
		assert(!(PASSES(n[k].slot) && OUTDATED_BY(n[k].g) <= o)) /* (1) */
	}
	k = 0
}

/* an order that is heard once more changes nothing unless there is something to end */
#define MATTERS(i, o) (!n[i].swept[o] || HIT(n[i].slot))

inline hear(i, o) {
	n[i].hears = 1; n[i].heard = o;
#ifdef BREAK_answer_first
	n[i].swept[o] = 1
#else
	mark(i)
#endif
}

inline forget_reading(i) { n[i].asks = 0; n[i].snap = 0; n[i].asked = 0 }

inline fall(i) {
	n[i].life = DOWN; gone(i);
	n[i].age = 0; forget_reading(i);
	n[i].pc = IDLE; n[i].what = 0; n[i].hears = 0; n[i].heard = 0
}

/* Recover: an order without a report is carried out again by whoever comes back */
inline rise(i) {
	n[i].life = RUNS;
	if
	:: !ACTIVE(epoch) && REPORT(ORDER_OF(epoch)) == NOREPORT -> n[i].pc = COMMITTED; n[i].what = ORDER_OF(epoch)
	:: else
	fi
}

inline freeze(i) {
	n[i].life = FROZEN;
	if
	:: n[i].slot == WRITING -> n[i].slot = COLD
	:: else
	fi
}

#ifdef FAULTS
byte faults = FAULTS;
#define FAULT faults > 0 &&
#define FAULTY faults--;
#else
#define FAULT
#define FAULTY
#endif

#define UP (n[i].life == RUNS)
#define SLOT n[i].slot
#define THE_REPORT REPORT(n[i].what)

proctype Works(byte i) {
	byte k;
end:	do
	/* session.Manager.open, step by step; a step that is refused leads to the line "gone" */
	:: d_step { UP && SLOT == NONE && ACTIVE(epoch) -> SLOT = FIRST }
	:: d_step { UP && SLOT == FIRST && ACTIVE(epoch) -> SLOT = WRITTEN; n[i].g = epoch }
#ifdef BREAK_old_grant
	:: d_step { UP && SLOT == FIRST && epoch == 3 -> SLOT = WRITTEN; n[i].g = 1 }
#endif
	:: d_step { UP && SLOT == WRITTEN -> SLOT = REGISTERED }
#ifdef BREAK_second_look
	:: d_step { UP && SLOT == REGISTERED -> SLOT = SECOND }
#else
	:: d_step { UP && SLOT == REGISTERED && HOLDS(n[i].g) -> SLOT = SECOND }
#endif
	:: d_step { UP && SLOT == SECOND && LEASE_HOLDS(i) ->
		if
		:: OUTDATED_BY(n[i].g) < ORDERS ->
			assert(!n[i].swept[OUTDATED_BY(n[i].g)]);     /* (2): its sweep was before */
			assert(REPORT(OUTDATED_BY(n[i].g)) != PASS) /* (1) */
		:: else
		fi;
		SLOT = LIVE }
	/* refused, or the person leaves, or the window ends: at any moment */
	:: d_step { UP && ((SLOT >= FIRST && SLOT <= LIVE) || SLOT == OTHER) -> gone(i) }
	/* the other vendor's session: its opening is the same, and its epoch never changes */
#ifndef ONE_VENDOR
	:: d_step { UP && SLOT == NONE && LEASE_HOLDS(i) -> SLOT = OTHER }
#endif

	/* Channel.Show and Channel.Send: look, then write */
#ifdef LIVENESS /* nobody need do anything, except that what stops is closed: the watch alone must be enough */
	:: d_step { !(UP && SLOT == STOPPING) -> skip }
#else /* left out there: who writes for ever would hold the clock, as no unit passes within a write */
	:: d_step { UP && SLOT == LIVE && LEASE_HOLDS(i) -> SLOT = WRITING }
#endif
	:: d_step { UP && (SLOT == WRITING || SLOT == COLD) -> pass_byte(i); SLOT = LIVE }

	/* Service.hear */
	:: d_step { UP && !n[i].hears && pub[0] && MATTERS(i, 0) -> hear(i, 0) }
#if ORDERS > 1
	:: d_step { UP && !n[i].hears && pub[1] && MATTERS(i, 1) -> hear(i, 1) }
#endif
#ifdef BREAK_answer_first
	:: d_step { UP && n[i].hears -> mark(i); answer(i, n[i].heard); n[i].hears = 0; n[i].heard = 0 }
#else
	:: d_step { UP && n[i].hears -> answer(i, n[i].heard); n[i].hears = 0; n[i].heard = 0 }
#endif

	/* Service.Suspend */
#ifdef BREAK_publish_first
	:: d_step { MAY_ORDER(i) && UP && n[i].pc == IDLE && ACTIVE(epoch) && epoch < TOP ->
		n[i].what = ORDER_OF(epoch + 1); n[i].pc = COMMITTED; pub[n[i].what] = 1 }
	:: d_step { UP && n[i].pc == COMMITTED && ACTIVE(epoch) -> epoch++; since = 0 }
	:: d_step { UP && n[i].pc == COMMITTED && !ACTIVE(epoch) -> mark(i); n[i].pc = MARKED }
#else
	:: d_step { MAY_ORDER(i) && UP && n[i].pc == IDLE && ACTIVE(epoch) && epoch < TOP ->
		epoch++; since = 0; n[i].what = ORDER_OF(epoch); n[i].pc = COMMITTED;
		pub[n[i].what] = 1 /* beside the own sweep; whether it is heard, and when, is the bus's affair */ }
	:: d_step { UP && n[i].pc == COMMITTED -> mark(i); n[i].pc = MARKED }
#endif
	:: d_step { UP && n[i].pc == MARKED -> answer(i, n[i].what); n[i].pc = SWEPT }
	:: d_step { UP && n[i].pc == SWEPT -> n[i].pc = PUBLISHED /* waits for the others */ }
	:: d_step { UP && n[i].pc == PUBLISHED && ALL_ANSWERED(n[i].what) ->
		nothing_passes(n[i].what);
		file(n[i].what, PASS); n[i].pc = IDLE; n[i].what = 0 }
	:: d_step { UP && n[i].pc == PUBLISHED && !ALL_ANSWERED(n[i].what) -> /* waited long enough */
		if
		:: THE_REPORT == NOREPORT -> file(n[i].what, PENDING)
		:: else
		fi;
		n[i].pc = IDLE; n[i].what = 0 }

	/* what happens to a node */
	:: d_step { FAULT n[i].life != DOWN -> FAULTY fall(i) }
	:: d_step { n[i].life == DOWN -> rise(i) }
	:: d_step { FAULT UP -> FAULTY freeze(i) }
	:: d_step { n[i].life == FROZEN -> n[i].life = RUNS }
	od
}

/* watch.poll: the node's reading of the store, and its lease */
proctype Watches(byte i) {
end:	do
	:: d_step { UP && !n[i].asks -> n[i].asks = 1; n[i].snap = epoch; n[i].asked = 0 }
	:: d_step { UP && n[i].asks -> /* the store answers: endForbidden */
#ifdef BREAK_heard_at_answer
		n[i].age = 0;
#else
		n[i].age = n[i].asked;
#endif
		if
		:: !ACTIVE(n[i].snap) || n[i].g < n[i].snap -> sweep(i)
		:: else
		fi;
		if
		:: n[i].snap >= 2 -> n[i].swept[0] = 1
		:: else
		fi;
#if ORDERS > 1
		if
		:: n[i].snap >= 4 -> n[i].swept[1] = 1
		:: else
		fi;
#endif
		forget_reading(i) }
	:: d_step { UP && n[i].asks -> /* it does not: silence */
		forget_reading(i);
#ifndef BREAK_no_lease
		if
		:: n[i].age >= LEASE -> lapse(i)
		:: else
		fi
#endif
		}
#if !defined(BREAK_no_lease) && !defined(BREAK_lease_at_poll)
	:: d_step { UP && n[i].age >= LEASE && CLOSABLE(SLOT) -> lapse(i) } /* the lease has a timer of its own */
#endif
#ifdef BREAK_bus_renews
	:: d_step { UP && n[i].age > 0 -> n[i].age = 0 } /* a heartbeat came over the bus */
#endif
	od
}

/* Time moves on unless a running node is at the end of its lease and has not acted on it: a timer fires within its unit. */
#ifdef BREAK_lease_at_poll
#define OVERDUE(k) (n[k].life == RUNS && n[k].age > LEASE && CLOSABLE(n[k].slot))
#elif defined(BREAK_no_lease)
#define OVERDUE(k) false
#else
#define OVERDUE(k) (n[k].life == RUNS && n[k].age >= LEASE && CLOSABLE(n[k].slot))
#endif
#define SHORTLY(k) (n[k].life == RUNS && n[k].slot >= WRITING && n[k].slot <= STOPPING)
#define BUSY(k) (OVERDUE(k) || SHORTLY(k))
#if N == 2
#define BUSY_ANY (BUSY(0) || BUSY(1))
#else
#define BUSY_ANY (BUSY(0) || BUSY(1) || BUSY(2))
#endif

/* a session of an epoch that is over, with open sockets, on a node that runs */
#define OLD(k) (n[k].life == RUNS && OPEN_SOCKETS(n[k].slot) && n[k].g < epoch)
#if N == 2
#define OLD_ANY (OLD(0) || OLD(1))
#else
#define OLD_ANY (OLD(0) || OLD(1) || OLD(2))
#endif

proctype Clock() {
	byte k;
end:	do
	:: d_step { !BUSY_ANY ->
		assert(!(since >= LEASE && OLD_ANY)); /* (3), and (5) with a bound: all closed by the end of the lease */
		assert(!(ACTIVE(epoch) && OLD_ANY));  /* (2): nothing old after a restoration */
		for (k : 0 .. N - 1) {
			if
			:: n[k].life != DOWN && n[k].age < AGE_MAX -> n[k].age++
			:: else
			fi;
			if
			:: n[k].asks && n[k].asked < LEASE -> n[k].asked++
			:: else
			fi
		}
		k = 0;
		if
		:: !ACTIVE(epoch) && since < SINCE_MAX -> since++
		:: else
		fi }
	od
}

/* Service.Restore. BREAK_restore_early: it does not wait until everything is known to be closed. */
#ifdef BREAK_restore_early
#define CLOSED_FOR_SURE true
#else
#define CLOSED_FOR_SURE (REPORT(ORDER_OF(epoch)) == PASS || since == SINCE_MAX)
#endif

proctype Staff() {
end:	do
	:: d_step { !ACTIVE(epoch) && epoch < TOP && CLOSED_FOR_SURE -> epoch++; since = 0 }
	od
}

init {
	byte k;
	atomic {
		for (k : 0 .. N - 1) {
			n[k].life = RUNS;
			run Works(k);
			run Watches(k)
		}
		k = 0;
		run Clock();
		run Staff()
	}
}

#ifdef LIVENESS
/* (5) With faults that end, and processes that get their turn: an order is carried out everywhere, for good. */
ltl closes { [] (epoch == 2 -> <> [] (epoch == 2 && !OLD_ANY)) }
#endif
