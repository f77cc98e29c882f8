package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Resident is a process's resident memory in kB (proc(5)).
func Resident(pid int) (int64, error) { return field(pid, "status", "VmRSS:") }

// Shared is a process's proportional share of memory in kB.
func Shared(pid int) (int64, error) { return field(pid, "smaps_rollup", "Pss:") }

func field(pid int, file, name string) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == name {
			return strconv.ParseInt(f[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/%s", name, pid, file)
}

// Children are the living processes that the process has started.
func Children(pid int) []int { return families()[pid] }

// Tree is the process and all that descend from it.
func Tree(root int) []int {
	children := families()
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// families maps each process to its children.
func families() map[int][]int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc") // a system without /proc has no tree
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(raw), ") ") // "S PPID …"; a name may hold blanks
		if f := strings.Fields(rest); len(f) > 1 {
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], pid)
		}
	}
	return children
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every
// architecture that Go knows.
const clockTick = 10 * time.Millisecond

// CPU is the time that a process and the children whose end it has seen have
// used, on and off the kernel's side, in steps of 10 ms (proc(5)).
func CPU(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(rest)
	if len(f) < 15 {
		return 0, fmt.Errorf("/proc/%d/stat is cut short", pid)
	}
	var ticks int64
	for _, s := range f[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}
