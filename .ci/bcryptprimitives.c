// The random numbers that Go programs start with, for Wine before 9.0, which lacks this library. All that Go asks of it is ProcessPrng,
// and what Wine has for that is RtlGenRandom, by its exported name.
#include <windows.h>

BOOLEAN WINAPI SystemFunction036(void *buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(unsigned char *buffer, size_t length)
{
	for (size_t done = 0; done < length;) {
		ULONG part = (ULONG)min(length - done, 1u << 16);
		if (!SystemFunction036(buffer + done, part))
			return FALSE;
		done += part;
	}
	return TRUE;
}
