class MemoryBankMcp < Formula
  desc "MCP server that gives AI coding assistants a lasting memory of their projects"
  homepage "https://github.com/diaz3618/memory-bank-mcp"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@URL:aarch64-apple-darwin@"
      sha256 "@SHA256:aarch64-apple-darwin@"
    end
    on_intel do
      url "@URL:x86_64-apple-darwin@"
      sha256 "@SHA256:x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@URL:aarch64-unknown-linux-musl@"
      sha256 "@SHA256:aarch64-unknown-linux-musl@"
    end
    on_intel do
      url "@URL:x86_64-unknown-linux-musl@"
      sha256 "@SHA256:x86_64-unknown-linux-musl@"
    end
  end

  def install
    bin.install "memory-bank-mcp"
    generate_completions_from_executable(bin/"memory-bank-mcp", "completions")
    (man1/"memory-bank-mcp.1").write Utils.safe_popen_read(bin/"memory-bank-mcp", "man")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/memory-bank-mcp --version")
    handshake = '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",' \
                '"capabilities":{},"clientInfo":{"name":"brew","version":"1"}}}'
    assert_match "memory-bank", pipe_output("#{bin}/memory-bank-mcp --path #{testpath}", "#{handshake}\n", 0)
  end
end
