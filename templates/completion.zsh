# Completion of doit in zsh. It answers only in the folder of dodo.py.
_stepkube_complete() {
    emulate -L zsh
    [[ dodo.py -ef $_stepkube_dodo ]] || { _default; return }
    local candidate description
    local -a words_ended words_open texts_ended texts_open
    while IFS=$'\t' read -r candidate description; do
        if [[ $candidate == *[.:=] ]]; then
            words_open+=("$candidate")
            texts_open+=("$candidate  $description")
        else
            words_ended+=("$candidate")
            texts_ended+=("$candidate  $description")
        fi
    done < <(COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" \
        "$_stepkube_python" -P -m doit completion --candidates 2>/dev/null </dev/null)
    if (( ${#words_ended} + ${#words_open} == 0 )); then
        _default
        return
    fi
    (( ${#words_ended} )) && compadd -l -d texts_ended -a words_ended
    (( ${#words_open} )) && compadd -l -S '' -d texts_open -a words_open
    return 0
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -D }
compdef _stepkube_complete doit
