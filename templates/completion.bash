# Completion of doit in bash. bash runs it for each Tab; it answers only in the folder of dodo.py.
_stepkube_complete() {
    COMPREPLY=()
    [[ dodo.py -ef $_stepkube_dodo ]] || return 0
    local line=${COMP_LINE:0:COMP_POINT} candidate description
    # readline replaces only the part after the last : or =
    local word=${line##*[[:space:]]}
    local prefix=${word%"$2"}
    if [[ $2 == [:=] && $word == *"$2" ]]; then
        prefix=$word
    fi
    while IFS=$'\t' read -r candidate description; do
        COMPREPLY+=("${candidate#"$prefix"}")
    done < <(COMP_LINE=$line "$_stepkube_python" -P -m doit completion --candidates 2>/dev/null </dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[.:=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -o bashdefault -o default -F _stepkube_complete doit
