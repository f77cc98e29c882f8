package statement

var bodies = map[Kind]func() Body{
	KindVendor:      func() Body { return new(VendorAdmit) },
	KindPerson:      func() Body { return new(PersonAdmit) },
	KindTarget:      func() Body { return new(TargetDefine) },
	KindInvite:      func() Body { return new(Invite) },
	KindEnrol:       func() Body { return new(Enrol) },
	KindKeyRemove:   func() Body { return new(KeyRemove) },
	KindSSHKey:      func() Body { return new(SSHKeyAdd) },
	KindSSHRemove:   func() Body { return new(SSHKeyRemove) },
	KindSSHCert:     func() Body { return new(SSHCertIssue) },
	KindApprove:     func() Body { return new(Approve) },
	KindOpen:        func() Body { return new(Open) },
	KindServiceOpen: func() Body { return new(ServiceOpen) },
	KindSuspend:     func() Body { return new(Suspend) },
	KindRestore:     func() Body { return new(Restore) },
	KindAdvance:     func() Body { return new(Advance) },
	KindOrder:       func() Body { return new(Order) },
	KindToken:       func() Body { return new(TokenIssue) },
}
