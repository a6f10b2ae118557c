# fish completion for rebound(1); generated, see images/packages in its sources.

# Print the words of the command's own line, the last is the one at the cursor.  Return 1 if there
# are none yet, 2 if a PID comes instead.
function __rebound_command
    set -l valued @valued@
    set -l asking @asking@
    set -l found 1
    set -l words (commandline -opc)[2..-1] (commandline -ct)
    while set -q words[2]
        set -l word $words[1]
        set -e words[1]
        if contains -- $word $valued; or string match -rq -- '^-[^-@short@]*[@short@]$' $word
            set -e words[1]
        else if contains -- $word $asking
            set found 2
        else if test "$word" = --
            set found 0
            break
        else if test $found -eq 1; and not string match -q -- '-*' $word
            set -p words $word
            set found 0
            break
        end
    end
    test $found -eq 0; and printf '%s\n' $words
    return $found
end

function __rebound_has_command
    __rebound_command >/dev/null
end

function __rebound_asks
    __rebound_command >/dev/null
    test $status -eq 2
end

# Complete the command's own line, as if it stood alone.
function __rebound_complete
    set -l words (__rebound_command)
    or set words (commandline -ct)
    set -l cursor $words[-1]
    set -e words[-1]
    complete -C (string join ' ' -- (string escape -- $words) "$cursor")
end

# Print each word behind what the list at the cursor has already.
function __rebound_list
    set -l list (string replace -r -- '^--[^=]*=' '' (commandline -ct))
    set -l before (string match -r -- ".*$argv[1]" $list)
    printf "$before%s\n" $argv[2..-1]
end

complete -c rebound -f
complete -c rebound -n 'not __rebound_asks' -a '(__rebound_complete)'
complete -c rebound -n __rebound_asks -a '(pgrep -x rebound 2>/dev/null)' -d PID
@options@
