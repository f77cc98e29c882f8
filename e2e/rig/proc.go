package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
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

// Tree is the process and all that descend from it.
func Tree(root int) []int {
	parents := map[int][]int{}
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
			parents[parent] = append(parents[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	return all
}
