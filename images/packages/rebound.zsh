#compdef rebound
# zsh completion for rebound(1); generated, see images/packages in its sources.

local curcontext=$curcontext context state state_descr line
typeset -A opt_args

# Options end at the first word that is none: from there on it is the command's line.
_arguments -C -s -S -A '-*' \
@options@
	'(-)1:command:->command' \
	'*::arguments:_normal' && return

if [[ $state == command ]]; then
	if (( ${words[(I)--status]} || ${words[(I)--restart-now]} )); then
		_wanted processes expl PID compadd - ${(f)"$(pgrep -x rebound 2>/dev/null)"}
	else
		_command_names -e
	fi
fi
