# Installs memory-bank-mcp @VERSION@ for this user: checks the archive against the checksum that this script holds, and puts
# the program into %LOCALAPPDATA%\Programs\memory-bank-mcp, or into the folder of -To, and adds it to the user's PATH.
#
#   powershell -ExecutionPolicy Bypass -File install.ps1 [-To FOLDER] [-From ADDRESS] [-NoPath]
#
# -From is a mirror: the address of a folder with the archive, instead of the project's releases.
param(
    [string] $To = (Join-Path $env:LOCALAPPDATA 'Programs\memory-bank-mcp'),
    [string] $From = '@REPOSITORY@/releases/download/v@VERSION@',
    [switch] $NoPath
)

$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

$sum = '@SHA256:x86_64-pc-windows-gnu@'
$folder = 'memory-bank-mcp-@VERSION@-x86_64-pc-windows-gnu'

if (-not [Environment]::Is64BitOperatingSystem) {
    throw 'There is no build for a 32-bit Windows; build it from its source, see @REPOSITORY@'
}

$temporary = Join-Path ([IO.Path]::GetTempPath()) ([IO.Path]::GetRandomFileName())
New-Item -ItemType Directory -Path $temporary | Out-Null
try {
    $archive = Join-Path $temporary "$folder.zip"
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    $ProgressPreference = 'SilentlyContinue'
    Invoke-WebRequest -UseBasicParsing -Uri "$From/$folder.zip" -OutFile $archive

    $found = (Get-FileHash -Algorithm SHA256 -Path $archive).Hash
    if ($found -ne $sum) {
        throw "The archive is not the one that was released: its checksum is $found, not $sum; nothing was installed"
    }

    Expand-Archive -Path $archive -DestinationPath $temporary
    New-Item -ItemType Directory -Force -Path $To | Out-Null
    $program = Join-Path $To 'memory-bank-mcp.exe'
    $old = $null
    if (Test-Path $program) {
        # A running program can be renamed, and not replaced.
        $old = Join-Path $To ('memory-bank-mcp.{0}.old' -f [IO.Path]::GetRandomFileName())
        Move-Item -Path $program -Destination $old
    }
    try {
        Move-Item -Path (Join-Path $temporary "$folder\memory-bank-mcp.exe") -Destination $program
    }
    catch {
        if ($old) {
            Move-Item -Path $old -Destination $program
        }
        throw
    }
    Get-ChildItem -Path $To -Filter 'memory-bank-mcp.*.old' | Remove-Item -Force -ErrorAction SilentlyContinue
}
finally {
    Remove-Item -Recurse -Force -Path $temporary
}

if (-not $NoPath) {
    # In the registry: [Environment] would replace each %NAME% in the user's PATH by its present value, for good.
    $key = [Microsoft.Win32.Registry]::CurrentUser.CreateSubKey('Environment')
    try {
        $path = [string] $key.GetValue('Path', '', [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        $present = $path -split ';' | ForEach-Object { [Environment]::ExpandEnvironmentVariables($_).TrimEnd('\') }
        if ($present -notcontains $To.TrimEnd('\')) {
            $kind = [Microsoft.Win32.RegistryValueKind]::ExpandString
            if ($key.GetValueNames() -contains 'Path') {
                $kind = $key.GetValueKind('Path')
            }
            $key.SetValue('Path', ((@($path, $To) -ne '') -join ';'), $kind)
            # Programs that run hear of the change only if [Environment] makes one.
            $signal = 'memory-bank-mcp-{0}' -f [IO.Path]::GetRandomFileName()
            [Environment]::SetEnvironmentVariable($signal, 'x', 'User')
            [Environment]::SetEnvironmentVariable($signal, $null, 'User')
            Write-Host "$To was added to PATH; open a new terminal to use it"
        }
    }
    finally {
        $key.Dispose()
    }
}
Write-Host "memory-bank-mcp @VERSION@ is installed as $program"
