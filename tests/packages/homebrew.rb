# A stub of the part of Homebrew that the formula uses: shows the download for a system and, with a folder, installs
# the program in it and runs the formula's own test.
#
#   ruby homebrew.rb FORMULA macos|linux arm|intel [UNPACKED CELLAR]

require "English"
require "fileutils"
require "json"
require "open3"
require "pathname"
require "tmpdir"

SYSTEM, CPU = ARGV[1], ARGV[2]

# Homebrew's extension of Ruby's class.
class Pathname
  def install(name)
    mkpath
    FileUtils.cp(name, self)
  end

  alias_method :write_file, :write

  def write(text)
    dirname.mkpath
    write_file(text)
  end
end

module Utils
  def self.safe_popen_read(*command)
    text, status = Open3.capture2(*command.map(&:to_s))
    raise "#{command.join(" ")} failed" unless status.success?

    text
  end
end

class Formula
  class << self
    attr_reader :facts, :checks

    %i[desc homepage version license url sha256].each do |name|
      define_method(name) do |value|
        raise "#{name} is set twice" if (@facts ||= {}).key?(name)

        @facts[name] = value
      end
    end

    { macos: :SYSTEM, linux: :SYSTEM, arm: :CPU, intel: :CPU }.each do |name, variable|
      define_method("on_#{name}") { |&block| block.call if Object.const_get(variable) == name.to_s }
    end

    def test(&block)
      @checks = block
    end
  end

  attr_reader :testpath

  def initialize(cellar, testpath)
    @cellar, @testpath = Pathname(cellar), Pathname(testpath)
  end

  def bin = @cellar/"bin"

  def man1 = @cellar/"share/man/man1"

  def version = self.class.facts.fetch(:version)

  # As Homebrew does it without further arguments.
  def generate_completions_from_executable(*command)
    %w[bash zsh fish].each do |shell|
      (@cellar/"completions/memory-bank-mcp.#{shell}").write(Utils.safe_popen_read(*command, shell))
    end
  end

  def shell_output(command, expected = 0)
    text = `#{command}`
    raise "#{command} ended with #{$CHILD_STATUS.exitstatus}" unless $CHILD_STATUS.exitstatus == expected

    text
  end

  def pipe_output(command, input, expected)
    text, status = Open3.capture2(command, stdin_data: input)
    raise "#{command} ended with #{status.exitstatus}" unless status.exitstatus == expected

    text
  end

  def assert_match(wanted, text)
    raise "#{wanted} is not in #{text}" unless text.include?(wanted)
  end
end

load File.expand_path(ARGV[0])
if ARGV[3]
  Dir.mktmpdir do |folder|
    formula = MemoryBankMcp.new(File.expand_path(ARGV[4]), folder)
    Dir.chdir(ARGV[3]) { formula.install }
    formula.instance_exec(&MemoryBankMcp.checks)
  end
end
puts JSON.generate(MemoryBankMcp.facts)
