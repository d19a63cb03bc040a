/* Debian's wine lacks this library of Windows, of which Rust's standard library takes its random bytes. A test of the program
   for Windows puts it into wine's system folder; see tests/packages/wine/prepare. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
    return RtlGenRandom(data, (ULONG)length);
}
