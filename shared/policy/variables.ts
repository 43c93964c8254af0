/** Variables by which a shell, a loader or a common interpreter comes to run something that the command does not name. */
const NAMES = new Set([
  ...['PATH', 'ENV', 'BASH_ENV', 'BASHOPTS', 'SHELLOPTS', 'BASH_CMDS', 'BASH_ALIASES', 'PROMPT_COMMAND', 'PS0', 'PS4'],
  ...['CDPATH', 'EXECIGNORE', 'POSIXLY_CORRECT', 'SHELL', 'FPATH', 'ZDOTDIR'],
  ...[
    'GCONV_PATH',
    'LOCPATH',
    'NLSPATH',
    'GETCONF_DIR',
    'HOSTALIASES',
    'RESOLV_HOST_CONF',
    'TERMINFO',
    'TERMINFO_DIRS',
  ],
  ...[
    'NODE_OPTIONS',
    'NODE_PATH',
    'PYTHONSTARTUP',
    'PYTHONPATH',
    'PYTHONHOME',
    'PYTHONINSPECT',
    'PERL5OPT',
    'PERL5LIB',
  ],
  ...[
    'PERL5DB',
    'PERLLIB',
    'RUBYOPT',
    'RUBYLIB',
    'CLASSPATH',
    'GOFLAGS',
    'GOROOT',
    'GOENV',
    'JAVA_TOOL_OPTIONS',
    '_JAVA_OPTIONS',
    'JDK_JAVA_OPTIONS',
  ],
  ...[
    'EDITOR',
    'VISUAL',
    'PAGER',
    'MANPAGER',
    'BROWSER',
    'LESSOPEN',
    'LESSCLOSE',
    'LESS',
    'MAKEFLAGS',
    'MAKEFILES',
    'AWKPATH',
  ],
  ...[
    'TAR_OPTIONS',
    'RSYNC_RSH',
    'CVS_RSH',
    'SSH_ASKPASS',
    'SUDO_ASKPASS',
    'LUA_INIT',
    'PHPRC',
    'PHP_INI_SCAN_DIR',
    'R_PROFILE',
  ],
]);
const PREFIXES = ['LD_', 'DYLD_', 'BASH_FUNC_', 'GIT_', 'npm_config_', 'NPM_CONFIG_', 'CARGO_', 'LUA_INIT'];

/** Whether whoever sets it may decide what is run. */
export const decidesWhatRuns = (name: string): boolean =>
  NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix));

export const setsVariable = (name: string): string => `the variable ${name} may make it run something else`;

export const isVariableName = (text: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(text);
