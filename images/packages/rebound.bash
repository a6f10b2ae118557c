# bash completion for rebound(1); generated, see images/packages in its sources.

# Set `words` to the words up to the cursor as rebound would get them, since readline splits at = and
# :, too; and `places` to where in COMP_WORDS they begin.
_rebound_split() {
	local rest=${COMP_LINE:0:COMP_POINT} at part
	words=() places=()
	for ((at = 0; at <= COMP_CWORD; at++)); do
		part=${COMP_WORDS[at]}
		if ((at == 0)) || [[ $rest == [[:blank:]]* ]]; then
			rest=${rest#"${rest%%[![:blank:]]*}"}
			words+=("") places+=("$at")
		fi
		((at == COMP_CWORD)) && part=$rest
		words[-1]+=$part
		rest=${rest#"$part"}
	done
}

# Set `command` to the place of the command's first word in COMP_WORDS, -1 while there is none;
# `asking` if a PID comes instead; `previous` to the option that waits for its value.
_rebound_scan() {
	local at
	command=-1 asking= previous=
	for ((at = 1; at < ${#words[@]} - 1; at++)); do
		if [[ $previous ]]; then
			previous=
			continue
		fi
		case ${words[at]} in
		--)
			command=${places[at + 1]}
			return
			;;
		@valued@) previous=${words[at]} ;;
		@asking@) asking=1 ;;
		-*) [[ ${words[at]} =~ ^-[^-@short@]*([@short@])$ ]] && previous=-${BASH_REMATCH[1]} ;;
		*)
			if [[ ! $asking ]]; then
				command=${places[at]}
				return
			fi
			;;
		esac
	done
}

_rebound_value() {
	local words= files=0 separator= prefix=
	case $1 in
@cases@
	*) return ;;
	esac
	local value=$2
	if ((files)); then
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$value")
		return
	fi
	if [[ $separator && $value == *"$separator"* ]]; then
		prefix=${value%"$separator"*}$separator
		value=${value##*"$separator"}
		# Readline has split the word at a colon already.
		[[ $separator == : ]] && prefix=
	fi
	[[ $separator ]] && compopt -o nospace
	mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$words" -- "$value")
}

# Complete the command's own line, which begins there in COMP_WORDS.
_rebound_command() {
	if declare -F _comp_command_offset >/dev/null; then
		_comp_command_offset "$1"
	elif declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif (($1 == COMP_CWORD)); then
		mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
	else
		compopt -o default
	fi
}

_rebound() {
	local words places command asking previous current
	COMPREPLY=()
	_rebound_split
	_rebound_scan
	current=${words[-1]}
	if ((command >= 0)); then
		_rebound_command "$command"
	elif [[ $previous ]]; then
		_rebound_value "$previous" "$current"
	elif [[ $current == --*=* ]]; then
		_rebound_value "${current%%=*}" "${current#*=}"
	elif [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "@spellings@" -- "$current")
	elif [[ $asking ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(pgrep -x rebound 2>/dev/null)" -- "$current")
	else
		_rebound_command "$COMP_CWORD"
	fi
}

complete -F _rebound rebound
