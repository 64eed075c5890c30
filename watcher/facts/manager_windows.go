package facts

import (
	"context"
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"

	"porttray/watcher/owner"
)

// manager is described in manager_linux.go.
func manager(_ context.Context, p owner.Process) Manager {
	if !p.Known() {
		return Manager{}
	}
	m := serviceOf(runningServices(), p.PID)
	if m != (Manager{}) && p.Gone() { // the PID may have been another process's
		return Manager{}
	}
	return m
}

// runningServices lists the running services. The service control manager answers ordinary users too.
func runningServices() []service {
	scm, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT|windows.SC_MANAGER_ENUMERATE_SERVICE)
	if err != nil {
		return nil
	}
	defer windows.CloseServiceHandle(scm)
	// The API takes no larger buffer. This one has room for a thousand services.
	buf := make([]byte, 256<<10)
	var missing, n, next uint32
	err = windows.EnumServicesStatusEx(scm, windows.SC_ENUM_PROCESS_INFO, windows.SERVICE_WIN32, windows.SERVICE_ACTIVE,
		&buf[0], uint32(len(buf)), &missing, &n, &next, nil)
	if err != nil && !errors.Is(err, windows.ERROR_MORE_DATA) {
		return nil
	}
	const user = 0x40 // SERVICE_USER_SERVICE in winnt.h
	services := make([]service, 0, n)
	for _, s := range unsafe.Slice((*windows.ENUM_SERVICE_STATUS_PROCESS)(unsafe.Pointer(&buf[0])), n) {
		status := s.ServiceStatusProcess
		services = append(services, service{
			name: windows.UTF16PtrToString(s.ServiceName), pid: status.ProcessId, user: status.ServiceType&user != 0,
		})
	}
	return services
}
